// Publishers and readers who go on whatever becomes of the hub, and tell a `History` what they were told and have seen.
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Decoder } from './decoder.mjs';
import { dataOf } from './history.mjs';

/** So many publishes at once, of one event or of a batch; what is answered with 5xx counts as unanswered. With `named` each has an Idempotency-Key and is repeated until it is answered. */
export class Publisher {
  #hub;
  #history;
  #agent = new Agent({ keepAlive: true, maxFreeSockets: 64 });
  #count = 0;
  #stopped = signal();
  #lanes;
  /** How often it was answered with what. */
  statuses = new Map();

  constructor(name, hub, history, { named = false, inFlight = 16 } = {}) {
    this.name = name;
    this.#hub = hub;
    this.#history = history;
    this.named = named;
    this.#lanes = Array.from({ length: inFlight }, () => this.#go());
  }

  /** Resolves when all that is under way is answered, or known to get no answer. */
  async stop() {
    this.#stopped.give();
    await Promise.all(this.#lanes);
    this.#agent.destroy();
  }

  async #go() {
    while (!this.#stopped.given) {
      const number = this.#count++;
      const one = `${this.name}:${number}`;
      const names = number % 5 ? [one] : Array.from({ length: 1 + number % 4 }, (_, index) => `${one}.${index}/${1 + number % 4}`);
      const sent = performance.now();
      let ids;
      do {
        await Promise.race([this.#hub.up, this.#stopped.promise]);
        ids = await this.#send(one, names);
        if (!ids) await pause(5); // it takes a moment until it is known that the hub has gone
      } while (!ids && this.named && !this.#hub.gone);
      if (ids) this.#history.answered(names, ids, sent, performance.now());
      // an answer may get lost on its way, and who has got none sends again, perhaps while the first one is still under way
      if (ids && this.named && number % 3 === 0) {
        const again = await Promise.all([this.#send(one, names), this.#send(one, names)]);
        for (const same of again.filter(Boolean)) this.#history.answered(names, same, sent, performance.now());
      }
    }
  }

  /** The ids, or undefined when there is no answer. */
  #send(one, names) {
    const topic = one.length % 2 ? 'shared' : `of/${this.name}`;
    const headers = this.named ? { 'idempotency-key': one } : {};
    const { port } = this.#hub;
    const options = { host: '127.0.0.1', port, method: 'POST', agent: this.#agent, headers };
    if (names.length === 1 && names[0] === one) return this.#ask({ ...options, path: `/events/${topic}` }, dataOf(one));
    const body = names.map((name) => `${JSON.stringify({ topics: [topic, 'batches'], data: dataOf(name) })}\n`).join('');
    return this.#ask({ ...options, path: '/events', headers: { ...headers, 'content-type': 'application/x-ndjson' } }, body);
  }

  #ask(options, body) {
    return new Promise((resolve, reject) => {
      const asked = request(options, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', () => resolve());
        response.on('end', () => {
          const { statusCode: status } = response;
          this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
          if (!response.complete || status >= 500) return resolve();
          if (status !== 200) return reject(new Error(`${options.path}: ${status} ${text}`));
          const { id, ids = [id] } = JSON.parse(text);
          return resolve(ids);
        });
      });
      asked.on('error', () => resolve()).end(body);
    });
  }
}

/** Reads everything from the beginning, or `topic`, and comes back where it was. */
export class Reader {
  events = [];
  connections = 0;
  bytes = 0;
  #hub;
  #last;
  #stopped = signal();
  #over;

  constructor(hub, topic) {
    this.topic = topic;
    this.#hub = hub;
    this.#over = this.#go();
  }

  stop() {
    this.#stopped.give();
    this.#asked?.destroy();
    return this.#over;
  }

  #asked;

  async #go() {
    for (;;) {
      await Promise.race([this.#hub.up, this.#stopped.promise]);
      if (this.#stopped.given) return;
      await this.#connect();
      await pause(5);
    }
  }

  /** Resolves when the stream has ended. */
  #connect() {
    const resume = this.#last ? { 'last-event-id': this.#last } : {};
    const path = `/events?topic=${this.topic ?? '*'}&since=earliest`;
    return new Promise((resolve) => {
      this.#asked = request({ host: '127.0.0.1', port: this.#hub.port, path, agent: false, headers: { accept: 'text/event-stream', ...resume } }, (response) => {
        if (response.statusCode !== 200) this.events.push({ type: 'oyez.status', data: `${response.statusCode}`, id: this.#last });
        else this.connections++;
        const decoder = new Decoder((event) => this.events.push(event));
        decoder.last = this.#last;
        response.on('data', (bytes) => { this.bytes += bytes.length; decoder.feed(bytes); this.#last = decoder.last; });
        response.on('error', () => {}).on('close', resolve);
      });
      this.#asked.on('error', resolve).end();
    });
  }
}

/** Something that is given once and can be waited for. */
function signal() {
  const one = { given: false };
  one.promise = new Promise((resolve) => { one.give = () => { one.given = true; resolve(); }; });
  return one;
}
