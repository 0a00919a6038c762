// A program that this one has started, and ends by its process id whatever happens.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const STARTS_WITHIN_MS = 20_000;
// as many descriptors as it may have, whatever the shell gives
const UNLIMITED = ['sh', '-c', 'ulimit -n "$(ulimit -Hn)" && exec "$0" "$@"'];

export class Program {
  output = '';
  errors = '';
  #child;

  constructor(command, { cwd } = {}) {
    const [program, ...args] = [...UNLIMITED, ...command];
    this.#child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout.setEncoding('utf8').on('data', (text) => { this.output += text; });
    // the end of it says why it failed
    this.#child.stderr.setEncoding('utf8').on('data', (text) => { this.errors = (this.errors + text).slice(-4_000); });
    alive.add(this.#child);
    /** Resolves to its status, or to the signal that ended it. */
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message));
      this.#child.once('close', (code, signal) => resolve(signal ?? code));
    }).then((how) => {
      alive.delete(this.#child);
      this.hasEnded = true;
      return how;
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Waits until `found` gives something, which it then resolves to. */
  async until(found) {
    for (const begun = Date.now(); ; await pause(10)) {
      const value = await found();
      if (value) return value;
      if (this.hasEnded || Date.now() - begun > STARTS_WITHIN_MS) {
        throw new Error(`${this.hasEnded ? 'the server ended' : 'the server does not listen'}; it printed:\n${this.output}${this.errors}`);
      }
    }
  }

  /** Ends it at once: no server here has anything to lose. */
  async kill() {
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  /** Lets it end what it has started itself. */
  async stop() {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await this.ended;
    clearTimeout(timer);
  }
}

/** A port that nothing listens on, below those that connections go out from: one that waits out its close would block it. */
export async function freePort() {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    const isFree = await new Promise((resolve) => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)));
    if (isFree) return new Promise((resolve) => server.close(() => resolve(port)));
  }
}

/** Whether something listens there. */
export function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1').once('error', () => resolve(false)).once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** The processes that a process has started. */
export function children(pid) {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

// the last resort: who ends this program ends what it has started
const alive = new Set();
process.once('exit', () => alive.forEach((child) => child.kill('SIGKILL')));
for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
  process.once(signal, () => process.exit(128 + number));
}
