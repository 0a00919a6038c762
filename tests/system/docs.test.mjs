// The pages under docs/, run as they are printed: each `sh` block in order against a hub of its own, and what it prints held
// against the `text` block after it, in which `…` stands for anything within a line, and alone on a line for any lines. `sh follow` stays open to the end of its page;
// `sh skip` is not run. Nothing is replaced but the hub's address.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
const ADDRESS = '127.0.0.1:8888';
const PATIENCE = 60_000;

const PAGES = readdirSync(DOCS).filter((name) => name.endsWith('.md'));

for (const name of PAGES) {
  const steps = stepsOf(readFileSync(join(DOCS, name), 'utf8'));
  if (steps.length === 0) continue;
  test(`docs/${name} is true: ${steps.length} blocks`, async (t) => {
    const cwd = await mkdtemp(join(tmpdir(), 'oyez-docs-'));
    t.after(() => rm(cwd, { recursive: true, force: true }));
    const hub = await startServer([oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { t, cwd });
    const open = [];
    t.after(() => open.forEach((shell) => shell.kill()));
    for (const step of steps) {
      const shell = new Shell(step, new URL(hub.url).host, cwd);
      open.push(shell);
      if (step.follow) await shell.printed(/./);
      else assert.equal(await shell.ended(), 0, shell.report());
    }
    for (const shell of open) if (shell.step.expected) await shell.printed(pattern(shell.step));
  });
}

test('every link between the pages leads somewhere', () => {
  for (const name of PAGES) {
    for (const [, target] of readFileSync(join(DOCS, name), 'utf8').matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      assert.ok(existsSync(join(DOCS, target)), `${target} in ${name}`);
    }
  }
});

/** The blocks that are to be run: `{ line, script, follow, expected }`. */
function stepsOf(text) {
  const steps = [];
  let last;
  for (const block of text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)) {
    const [, info, body] = block;
    const line = text.slice(0, block.index).split('\n').length;
    if (info === 'text' && last) last.expected = body;
    last = info === 'sh' || info === 'sh follow' ? { line, script: body, follow: info.endsWith('follow') } : undefined;
    if (last) steps.push(last);
  }
  return steps;
}

/** All of what is printed; for one that is still open, its beginning. */
function pattern({ expected, follow }) {
  const quoted = expected.trimEnd().replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const lines = quoted.replace(/^…$/gm, '(?:.*\n)*?.*').replaceAll('…', '.*');
  return new RegExp(`^${lines}${follow ? '' : '\\s*$'}`);
}

class Shell {
  #child;
  #exit;
  #output = '';
  #errors = '';
  #changed = () => {};

  constructor(step, address, cwd) {
    this.step = step;
    const env = { ...process.env, PATH: dirname(oyezBinary()) + delimiter + process.env.PATH };
    const script = `set -eo pipefail\n${step.script.replaceAll(ADDRESS, address)}`;
    this.#child = spawn('bash', ['-c', script], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#child.stdout.setEncoding('utf8').on('data', (text) => { this.#output += text; this.#changed(); });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => { this.#errors += text; });
    this.#exit = new Promise((resolve) => this.#child.once('close', (code, signal) => resolve(code ?? signal)));
    this.#exit.then(() => this.#changed());
  }

  ended() {
    return this.#within(this.#exit);
  }

  /** Waits until what was printed matches. */
  async printed(expected) {
    const matches = new Promise((resolve) => {
      this.#changed = () => { if (expected.test(this.#output)) resolve(); };
      this.#changed();
    });
    await this.#within(Promise.race([matches, this.#exit]));
    assert.match(this.#output, expected, this.report());
  }

  /** Ends it with what it has started: it is a process group of its own. */
  kill() {
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch (error) {
      if (error.code !== 'ESRCH') throw error; // all of it has ended
    }
  }

  report() {
    return `line ${this.step.line}:\n${this.step.script}printed:\n${this.#output}${this.#errors}\nexpected:\n${this.step.expected ?? ''}`;
  }

  async #within(promise) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${PATIENCE} ms passed; ${this.report()}`)), PATIENCE);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }
}
