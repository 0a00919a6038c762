// A log file that grows, streamed with `tail -F | oyez pub --lines` and read by curl, by `oyez sub` and by a page in Chromium,
// each of which is ended and comes back several times meanwhile: every line arrives once and in order at each of them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { launch, watch } from '../browser/lib/chromium.mjs';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';
import { Decoder } from './lib/decoder.mjs';
import { log } from './lib/log.mjs';

const LINES = 10_000;
const STEP = 250; // so many lines are written before the slowest reader is waited for
const RESTARTS_AT = [900, 2_300, 4_100, 6_200, 8_700];
const FENCE = 'all lines are written';
const TOPIC = 'logs/应用 app';
const PATH = `/events/${encodeURI(TOPIC)}`;

test('every line of a growing log arrives once and in order, however often its readers come back', { timeout: 300_000 }, async (t) => {
  const ends = []; // in the reverse order of their beginnings: readers first, the hub after them
  t.after(async () => { for (const end of ends.reverse()) await end(); });
  const folder = await mkdtemp(join(tmpdir(), 'oyez-log-'));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'app.log');
  await writeFile(file, '');
  const server = await startServer([oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']);
  ends.push(() => server.kill());
  const lines = log(LINES);

  const readers = [CurlReader, SubReader, PageReader].map((Reader) => new Reader(server, [...lines, FENCE]));
  ends.push(() => Promise.all(readers.map((reader) => reader.close())));
  await Promise.all(readers.map((reader) => reader.begin()));
  const pipeline = new Pipeline(file, server.url + PATH);
  ends.push(() => pipeline.kill());
  const reading = Promise.all(readers.map((reader) => reader.readAll(lines.length)));
  await Promise.race([grow(file, lines, readers), failure(reading), failure(pipeline.exit.then(() => { throw new Error(`ended early: ${pipeline.errors}`); }))]);
  await reading;

  assert.equal(await pipeline.finish(), 0, pipeline.errors);
  const metrics = await (await fetch(`${server.admin}/metrics`)).text();
  assert.match(metrics, new RegExp(`^oyez_published_total ${LINES}$`, 'm'));
  assert.match(metrics, /^oyez_gaps_total 0$/m);
  const fence = await fetch(server.url + PATH, { method: 'POST', body: FENCE }); // what came too much has come before it
  assert.equal(fence.status, 200);
  await Promise.all(readers.map((reader) => reader.reach(lines.length + 1)));

  for (const reader of readers) {
    assert.equal(reader.begun, RESTARTS_AT.length + 1, `${reader.constructor.name} came back each time`);
    assert.deepEqual(reader.events.map(({ data }) => data), [...lines, FENCE]);
    assert.deepEqual(reader.events.map(({ id }) => id), readers[0].events.map(({ id }) => id), 'all read the same ids');
  }
  assert.equal(new Set(readers[0].events.map(({ id }) => id)).size, LINES + 1);
});

/** `tail -F FILE | oyez pub --lines URL`. */
class Pipeline {
  errors = '';

  constructor(file, url) {
    this.app = spawn('sleep', ['600']); // what writes the log: when it ends, so does tail
    const script = 'tail -n +1 -F --pid="$4" "$1" | "$2" pub --lines "$3"';
    this.shell = spawn('bash', ['-o', 'pipefail', '-c', script, 'bash', file, oyezBinary(), url, this.app.pid], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.shell.stderr.setEncoding('utf8').on('data', (text) => { this.errors += text; });
    this.exit = closed(this.shell);
  }

  async finish() {
    this.kill();
    return (await this.exit).code;
  }

  kill() {
    this.app.kill('SIGKILL');
  }
}

/** A reader that is ended and begun again, `RESTARTS_AT` so many events. */
class Reader {
  events = [];
  begun = 0;

  constructor({ url }, expected) {
    this.hub = url;
    this.url = url + PATH;
    this.expected = expected;
  }

  get last() {
    return this.events.at(-1)?.id;
  }

  async readAll(number) {
    for (const count of RESTARTS_AT) {
      await this.reach(count);
      await this.end(this.begun);
      await this.begin();
    }
    await this.reach(number);
  }

  /** Resolves as soon as there are so many events, without a look at what comes after them. */
  reach(count) {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`${this.constructor.name} has ${this.events.length} of ${count} events`));
      const timer = setTimeout(late, 60_000);
      this.reached = () => {
        if (!this.fault && this.events.length < count) return;
        clearTimeout(timer);
        if (this.fault) reject(this.fault);
        else resolve();
      };
      this.reached();
    });
  }

  take(event) {
    const number = this.events.push(event);
    const line = this.expected[number - 1];
    if (event.type !== 'message' || event.data !== line) this.broke(`line ${number} is ${JSON.stringify(line)}, got ${JSON.stringify(event)}`);
    this.reached?.();
  }

  broke(why) {
    this.fault ??= new Error(`${this.constructor.name}: ${why}`);
    this.reached?.();
  }
}

/** `curl -N`, killed in the middle of whatever it does. */
class CurlReader extends Reader {
  async begin() {
    const resume = this.last ? ['-H', `Last-Event-ID: ${this.last}`] : [];
    this.child = spawn('curl', ['-sN', ...resume, this.url], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.over = closed(this.child);
    const decoder = new Decoder((event) => this.take(event));
    this.child.stdout.on('data', (bytes) => decoder.feed(bytes));
    await until(() => decoder.last, () => 'curl has got the first block');
    this.begun++;
  }

  async end() {
    this.child?.kill('SIGKILL');
    await this.over;
  }

  close() {
    return this.end();
  }
}

/** `oyez sub`, killed or interrupted in turn. */
class SubReader extends Reader {
  async begin() {
    const resume = this.last ? ['--last-event-id', this.last] : [];
    this.child = spawn(oyezBinary(), ['sub', '--json', ...resume, this.url], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.over = closed(this.child);
    let [rest, open, errors] = ['', false, ''];
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      const whole = (rest + text).split('\n');
      rest = whole.pop(); // a kill may cut the last one
      for (const { kind, ...event } of whole.map((line) => JSON.parse(line))) {
        if (kind === 'open') open = true;
        else if (kind === 'event') this.take(event);
        else this.broke(`it says ${kind}: ${JSON.stringify(event)}`);
      }
    });
    this.child.stderr.setEncoding('utf8').on('data', (text) => { errors += text; });
    await until(() => open, () => `oyez sub is open; it says: ${errors}`);
    this.begun++;
  }

  async end(turn) {
    const signal = turn % 2 ? 'SIGKILL' : 'SIGINT';
    this.child.kill(signal);
    const exit = await this.over;
    if (signal === 'SIGINT') assert.deepEqual(exit, { code: 0, signal: null }, 'oyez sub ends in good order');
  }

  async close() {
    this.child?.kill('SIGKILL');
    await this.over;
  }
}

/** An EventSource in Chromium: its connection is cut and it comes back by itself, or its page is closed and another one goes on. */
class PageReader extends Reader {
  proxy = new Proxy(new URL(this.hub).port);

  async begin() {
    if (!this.cut) await this.#open();
    await until(() => this.page.evaluate((cuts) => window.opened > cuts, this.cuts), () => 'the page is live');
    this.begun++;
    this.cut = false;
    this.polling ??= this.#poll();
  }

  async #open() {
    this.browser ??= await launch();
    const url = await this.proxy.url();
    this.page = await this.browser.newPage();
    this.cuts = 0;
    const faults = await watch(this.page, [/ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/]);
    faults.first.catch((error) => this.broke(error.message));
    await this.page.goto(`${url}/?topic=other`);
    await this.page.evaluate(([path, last]) => {
      window.seen = [];
      window.opened = 0;
      const source = new EventSource(last ? `${path}?last_event_id=${encodeURIComponent(last)}` : path);
      source.onopen = () => { window.opened++; };
      const take = ({ type, data, lastEventId }) => window.seen.push({ type, data, id: lastEventId });
      source.onmessage = take;
      source.addEventListener('oyez.gap', take);
    }, [PATH, this.last]);
  }

  // What the page has seen and the test has not taken is seen again by the next page.
  async #poll() {
    while (!this.closing) {
      const seen = await this.page.evaluate(() => window.seen?.splice(0) ?? []).catch(() => []);
      for (const event of seen) this.take(event);
      await pause(20);
    }
  }

  async end(turn) {
    if (turn % 2) {
      this.cut = true;
      this.cuts++;
      this.proxy.cut();
    } else {
      const page = this.page;
      this.closing = true;
      await this.polling;
      await page.close();
      [this.closing, this.polling] = [false, undefined];
    }
  }

  async close() {
    this.closing = true;
    await this.polling;
    await this.browser?.close();
    this.proxy.close();
  }
}

/** Stands between page and hub, so that a connection can be cut under both. */
class Proxy {
  #sockets = new Set();
  #server;

  constructor(port) {
    this.#server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      for (const [one, other] of [[near, far], [far, near]]) {
        this.#sockets.add(one);
        one.on('error', () => {}).on('close', () => { this.#sockets.delete(one); other.destroy(); });
        one.pipe(other);
      }
    });
  }

  async url() {
    if (!this.#server.listening) await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  close() {
    this.cut();
    this.#server.close();
  }
}

/** Appends the lines as programs do, a line in several pieces included, never far ahead of the slowest reader. */
async function grow(file, lines, readers) {
  for (let at = 0; at < lines.length; at += STEP) {
    const bytes = Buffer.from(lines.slice(at, at + STEP).map((line) => `${line}\n`).join(''));
    for (let from = 0; from < bytes.length; from += 7_777) { // cuts lines, and characters
      await appendFile(file, bytes.subarray(from, from + 7_777));
    }
    const enough = at - 2 * STEP;
    await until(() => readers.every((reader) => reader.events.length >= enough), () => `readers have ${enough}: ${readers.map((reader) => reader.events.length)}`);
  }
}

/** How a child has ended, once its outputs are read to the end. Called right after its start. */
function closed(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}

/** Never resolves; rejects as soon as `promise` does. */
function failure(promise) {
  return new Promise((_, reject) => promise.catch(reject));
}

async function until(condition, what, withinMs = 60_000) {
  const end = performance.now() + withinMs;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`${withinMs} ms passed before ${what()}`);
    await pause(5);
  }
}
