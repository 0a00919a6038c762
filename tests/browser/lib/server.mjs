// A hub under test: a process of its own, ended by its process id whatever happens to the test.
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** Standard error as a pipe whose reader has gone, and one whose reader reads nothing until `readErrors`. */
export const GONE = Symbol('gone');
export const STUCK = Symbol('stuck');

/** The binary that `./test` has built, or the one named by OYEZ_BIN. */
export function oyezBinary() {
  const path = process.env.OYEZ_BIN;
  if (!path) throw new Error('OYEZ_BIN does not name the oyez binary; ./test browser and ./test system set it');
  return path;
}

/**
 * Starts `command`, for instance `[oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']`, and resolves
 * once its standard output has said `listening on http://ADDR` and, unless `admin: false`, `admin on http://ADDR`.
 *
 * With `t`, the context of a node test, the process is ended after that test. Rejects, and leaves no process behind, when it
 * exits before it listens or says nothing `within` so many milliseconds; the error holds what it has printed.
 *
 * `stderr` is where its standard error goes: read by us, unless it is GONE, STUCK or the name of a file.
 */
export async function startServer(command, { t, admin = true, within = 60_000, env = {}, cwd, stderr } = {}) {
  const server = new Server(command, { env, cwd, stderr });
  t?.after(() => server.kill());
  try {
    [, server.url] = await server.says(/^listening on (http:\/\/\S+)$/m, { within });
    if (admin) [, server.admin] = await server.says(/^admin on (http:\/\/\S+)$/m, { within });
  } catch (error) {
    await server.kill();
    throw error;
  }
  return server;
}

class Server {
  url;
  admin;
  #child;
  #exit;
  #output = '';
  #waiting = new Set();

  constructor([program, ...args], { env, cwd, stderr }) {
    const file = typeof stderr === 'string' ? openSync(stderr, 'a') : undefined;
    this.#child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', file ?? 'pipe'] });
    if (file !== undefined) closeSync(file);
    this.#read(this.#child.stdout);
    if (stderr === GONE) this.#child.stderr.destroy();
    else if (!stderr) this.readErrors();
    this.#exit = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve({ code: null, signal: null, error }));
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
    });
    alive.add(this.#child);
    this.#exit.then((exit) => {
      alive.delete(this.#child);
      this.exited = exit;
      this.#look();
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Reads standard error from now on. */
  readErrors() {
    this.#read(this.#child.stderr);
  }

  /** All that the process has printed so far, both outputs. */
  get logs() {
    return this.#output;
  }

  /** Waits until the output matches; resolves to the match. Rejects when the process ends first, or after `within` ms. */
  says(pattern, { within = 60_000 } = {}) {
    return new Promise((resolve, reject) => {
      const done = (settle, value) => {
        this.#waiting.delete(look);
        clearTimeout(timer);
        settle(value);
      };
      const failed = (why) => done(reject, new Error(`${why} before its output matched ${pattern}; it printed:\n${this.#output}`));
      const look = () => {
        const match = this.#output.match(pattern);
        if (match) done(resolve, match);
        else if (this.exited) failed(`the process ended (${describe(this.exited)})`);
      };
      const timer = setTimeout(() => failed(`${within} ms passed`), within);
      this.#waiting.add(look);
      look();
    });
  }

  /** Ends it in good order (SIGTERM) and resolves to `{code, signal}`. A drain longer than `within` ms is killed and an error. */
  async stop({ within = 30_000 } = {}) {
    this.#child.kill('SIGTERM');
    let timer;
    const late = new Promise((resolve) => { timer = setTimeout(resolve, within, null); });
    const exit = await Promise.race([this.#exit, late]);
    clearTimeout(timer);
    if (exit) return exit;
    await this.kill();
    throw new Error(`still running ${within} ms after SIGTERM; it printed:\n${this.#output}`);
  }

  /** Ends it at once (SIGKILL), or does nothing when it has ended. Resolves to `{code, signal}`. */
  kill() {
    this.#child.kill('SIGKILL');
    return this.#exit;
  }

  #read(stream) {
    stream.setEncoding('utf8').on('data', (text) => {
      this.#output += text;
      this.#look();
    });
  }

  #look() {
    for (const look of [...this.#waiting]) look();
  }
}

function describe({ code, signal, error }) {
  return error ? error.message : signal ?? `status ${code}`;
}

// The last resort: a test process that ends, by itself or by the runner's signal, takes its servers along.
const alive = new Set();
process.once('exit', () => alive.forEach((child) => child.kill('SIGKILL')));
for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
  process.once(signal, () => process.exit(128 + number));
}
