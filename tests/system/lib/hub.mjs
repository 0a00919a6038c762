// A hub that keeps its history in a directory, is ended in any way and comes back at the same address.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { oyezBinary, startServer } from '../../browser/lib/server.mjs';

export const LONG = process.env.OYEZ_TEST_LONG === '1';

// a long form runs beside other work, at the lowest priority, for an hour; how long a start may take is measured elsewhere
const START_MS = LONG ? 120_000 : 60_000;

/** A directory of the test's own, gone after it. */
export async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), 'oyez-durable-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

export class DurableHub {
  /** It is not started yet. `flags` go to `oyez serve`, `through` is what it is started by (`strace …`), `stderr` as in `startServer`. */
  static async make(t, { data, durability, flags = [], through = [], env = {}, stderr } = {}) {
    const hub = new DurableHub();
    hub.data = data ?? join(await folder(t), 'data');
    hub.port = await freePort();
    hub.url = `http://127.0.0.1:${hub.port}`;
    Object.assign(hub, { durability, flags, through, env, stderr });
    t.after(() => { hub.gone = true; return hub.kill(); });
    return hub;
  }

  get command() {
    const level = this.durability ? ['--durability', this.durability] : [];
    return [...this.through, oyezBinary(), 'serve', '--listen', `127.0.0.1:${this.port}`, '--admin', '127.0.0.1:0', '--data', this.data, ...level, ...this.flags];
  }

  /** Resolves when it takes connections, to the milliseconds that this took. */
  async start() {
    const begin = performance.now();
    this.server = await startServer(this.command, { env: this.env, stderr: this.stderr, within: START_MS });
    this.admin = this.server.admin;
    this.#isUp?.();
    this.#isUp = undefined;
    this.#up = Promise.resolve();
    return performance.now() - begin;
  }

  /** Resolves when it is there, or there again. */
  get up() {
    return this.#up;
  }

  /** SIGKILL; resolves when it has ended. */
  async kill() {
    this.down();
    return this.server?.kill();
  }

  /** SIGTERM, and in good order. */
  async stop() {
    this.down();
    return this.server.stop();
  }

  /** Whoever cannot reach it from now on waits for `up`. */
  down() {
    if (!this.#isUp) this.#up = new Promise((resolve) => { this.#isUp = resolve; });
  }

  #isUp;
  #up = new Promise((resolve) => { this.#isUp = resolve; });

  get pid() {
    return this.server.pid;
  }

  /** Publishes one event; resolves to the status, the headers and the answer as JSON. Rejects when there is no answer. */
  async publish(topic, body, { query = '', headers = {} } = {}) {
    const answer = await fetch(`${this.url}/events/${topic}${query}`, { method: 'POST', body, headers });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, ...json(text) };
  }

  /** What is kept, as the objects of `application/x-ndjson`; the hub's own lines included. */
  async read(query = 'topic=*', headers = {}) {
    const answer = await fetch(`${this.url}/events?${query}&poll=1&format=ndjson`, { headers });
    if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
    return (await answer.text()).split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  /** The status of `/readyz`, or undefined when nobody answers. */
  async ready() {
    return (await fetch(`${this.admin}/readyz`).catch(() => undefined))?.status;
  }
}

/** Runs `oyez` to its end; resolves to its status, outputs and the milliseconds it took. */
export async function oyez(args, { through = [], env = {}, within = 60_000 } = {}) {
  const begin = performance.now();
  const [program, ...rest] = [...through, oyezBinary(), ...args];
  const child = spawn(program, rest, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), within);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => { output[name] += text; });
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (...exit) => resolve(exit));
  });
  clearTimeout(timer);
  return { code, signal, ms: performance.now() - begin, ...output };
}

// Not one that the system gives to whoever connects: a client that tries again and again where nobody listens could be given that
// very port, and be connected to itself.
async function freePort() {
  const [low] = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')).trim().split(/\s+/).map(Number);
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * (low - 10_000));
    const server = createServer();
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (free) return port;
  }
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { text };
  }
}
