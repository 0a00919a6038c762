// Event streams as bare sockets, so that a test says what happens on the wire and when.
import { Socket } from 'node:net';
import { request } from 'node:http';

/** A stream of events `data: NUMBER …`: chunk for chunk, of which it keeps how the numbers follow each other. */
export class Stream {
  head = '';
  events = 0;
  first;
  last;
  /** What came that should not have. */
  faults = [];
  ended = false;
  #text = '';
  #isOpen;

  /**
   * Connects to `url` from the address `from`, and asks for the stream there unless `asks` is false. It reads nothing unless `reads`, and with
   * `bytesPerSecond` no more than that.
   */
  constructor(url, { from, reads = true, asks = true, bytesPerSecond } = {}) {
    const { hostname, port, host, pathname, search } = new URL(url);
    this.socket = new Socket(bytesPerSecond && { onread: this.#slowly(bytesPerSecond) });
    this.connected = new Promise((resolve, reject) => this.socket.once('connect', resolve).once('error', reject));
    this.connected.catch(() => {}); // who does not wait for it sees that it is over
    this.over = new Promise((resolve) => this.socket.once('close', resolve));
    this.over.then(() => { this.ended = true; });
    this.socket.on('error', () => {}); // one that is cut is over
    if (bytesPerSecond) this.#opens();
    else if (reads) this.resume();
    else this.socket.pause();
    this.socket.connect({ host: hostname, port, localAddress: from });
    if (asks) this.socket.write(`GET ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  }

  /** Reads from now on. */
  resume() {
    this.#opens();
    this.socket.on('data', (bytes) => this.#take(bytes.latin1Slice()));
    this.socket.resume();
  }

  #opens() {
    this.opened = new Promise((resolve, reject) => {
      this.#isOpen = resolve;
      this.over.then(() => reject(new Error(`ended before its head was read: ${JSON.stringify(this.head)}`)));
    });
    this.opened.catch(() => {});
  }

  /** Takes a tenth of a second's bytes from the kernel at a time, and then waits for so long. */
  #slowly(bytesPerSecond) {
    const buffer = Buffer.alloc(Math.ceil(bytesPerSecond / 10));
    const callback = (number) => {
      this.#take(buffer.latin1Slice(0, number));
      setTimeout(() => this.socket.resume(), 100);
      return false;
    };
    return { buffer, callback };
  }

  /** Whether it has had every event from `first` to `last`, once and in order. */
  hasAll(first, last) {
    return this.faults.length === 0 && this.first === first && this.last === last && this.events === last - first + 1;
  }

  get summary() {
    const { events, first, last, ended, faults } = this;
    return { events, first, last, ended, faults };
  }

  #take(text) {
    this.#text += text;
    if (!this.head) {
      const end = this.#text.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.head = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 4);
      if (!/^HTTP\/1\.1 200 [^]*\r\ntransfer-encoding: chunked(\r\n|$)/.test(this.head)) this.#fault(`head ${this.head}`);
      this.#isOpen();
    }
    let done = 0;
    for (;;) {
      const begin = this.#text.indexOf('\r\n', done) + 2;
      if (begin < 2) break;
      const size = this.#text.slice(done, begin - 2);
      if (!/^[0-9a-f]{1,8}$/i.test(size)) return this.#fault(`size of a chunk ${JSON.stringify(size.slice(0, 100))} after event ${this.last}`);
      const end = begin + Number.parseInt(size, 16);
      if (this.#text.length < end + 2) break;
      if (this.#text.slice(end, end + 2) !== '\r\n') return this.#fault(`end of a chunk ${JSON.stringify(this.#text.slice(end, end + 100))} after event ${this.last}`);
      this.#chunk(this.#text.slice(begin, end));
      done = end + 2;
    }
    this.#text = this.#text.slice(done);
  }

  /** Frames are whole in a chunk. */
  #chunk(text) {
    for (let at = 0; (at = text.indexOf('data: ', at)) >= 0; at += 6) {
      if (at === 0 || text[at - 1] === '\n') this.#note(Number.parseInt(text.slice(at + 6, at + 24), 10));
    }
  }

  #note(number) {
    if (this.events > 0 && number !== this.last + 1) this.faults.push(`${number} after ${this.last}`);
    if (this.events === 0) this.first = number;
    this.events++;
    this.last = number;
  }

  #fault(what) {
    this.faults.push(what);
    this.socket.destroy();
  }
}

/** One request on a connection of its own, closed afterwards. Resolves to the body; rejects unless the status is 200. */
export function ask(url, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, agent: false, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', reject);
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode}: ${text}`))));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** The samples of a page of metrics, by name. */
export function samples(page) {
  const lines = page.split('\n').filter((line) => line && !line.startsWith('#'));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

/** How many streams have ended for which reason, those for which some have. */
export function ended(metrics) {
  const named = Object.entries(metrics).map(([name, value]) => [/^oyez_streams_ended_total\{reason="(\w+)"\}$/.exec(name)?.[1], value]);
  return Object.fromEntries(named.filter(([reason, value]) => reason && value > 0));
}
