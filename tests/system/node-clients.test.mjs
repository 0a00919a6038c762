// The Node clients in clients/node-examples, each against a hub that goes away without a word and comes back as a new one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';

const FOLDER = fileURLToPath(new URL('../../clients/node-examples/', import.meta.url));

test('basic prints type, id and data of its topics', { timeout: 180_000 }, async (t) => {
  const hub = await serve(t);
  const client = new Client(t, 'basic.mjs', `${hub.url}/events?topic=news&topic=orders/*`, 'greeting');
  await client.says(/^open: /m);
  const ids = [await publish(hub, 'news', 'hello\nworld'), await publish(hub, 'orders/7', '你好', '?event=greeting')];
  await publish(hub, 'other', 'not asked for');
  ids.push(await publish(hub, 'news', 'end'));
  await client.says(/"end"\n/);
  assert.deepEqual(client.lines(/^(message|greeting) /), [`message ${ids[0]} "hello\\nworld"`, `greeting ${ids[1]} "你好"`, `message ${ids[2]} "end"`]);

  await restart(t, hub, client);
  await client.says(/^gap: .* \(epoch\)$/m);
  const id = await publish(hub, 'news', 'after the gap');
  await client.says(new RegExp(`^message ${id} "after the gap"$`, 'm'));
  assert.equal(client.lines(/^open: /).length, 2);
});

test('basic ends when the answer is final', { timeout: 180_000 }, async (t) => {
  const hub = await serve(t);
  const client = new Client(t, 'basic.mjs', `${hub.url}/no-such-route`);
  assert.equal(await client.exit, 1);
  assert.match(client.output, /^closed: .*404/m);
});

test('clock prints the time, also after the hub was started anew', { timeout: 180_000 }, async (t) => {
  const hub = await serve(t);
  const client = new Client(t, 'clock.mjs', `${hub.url}/clock`);
  const time = /^\d{1,2}:\d\d:\d\d\b/;
  await client.says(() => client.lines(time).length >= 2);
  assert.equal(new Set(client.lines(time)).size, client.lines(time).length, 'each second once');
  await restart(t, hub, client);
  await client.says(/^gap: epoch\n\d{1,2}:\d\d:\d\d/m);
});

test('stock prints a table, also after the hub was started anew', { timeout: 180_000 }, async (t) => {
  const hub = await serve(t);
  const client = new Client(t, 'stock.mjs', `${hub.url}/stock`);
  const quote = /^[A-Z]{4} {3} *\d+\.\d\d +[+-]\d+\.\d\d  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
  await client.says(() => client.lines(quote).length >= 3);
  const [header, ...rows] = client.lines(/./);
  assert.match(header, /^symbol +price +change +time$/);
  assert.deepEqual(rows.filter((row) => !quote.test(row)), []);
  assert.deepEqual([...new Set(rows.map((row) => row.length))], [rows[0].length], 'columns stand below each other');
  await restart(t, hub, client);
  await client.says(/^gap: some quotes are missing here \(epoch\)\n[A-Z]{4} /m);
});

test('each client is short and says on its first line how to run it', async () => {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.mjs'));
  assert.deepEqual(names.sort(), ['basic.mjs', 'clock.mjs', 'stock.mjs']);
  for (const name of names) {
    const lines = (await readFile(FOLDER + name, 'utf8')).split('\n');
    assert.ok(lines[0].startsWith(`// node ${name}`) && lines.length <= 41, name);
  }
});

function serve(t, listen = '127.0.0.1:0') {
  return startServer([oyezBinary(), 'serve', '--listen', listen, '--admin', '127.0.0.1:0', '--demo'], { t });
}

/** Kills the hub, waits until the client has noticed, and starts another one in its place. */
async function restart(t, hub, client) {
  assert.deepEqual(client.lines(/^(gap|reconnecting|closed):/), []);
  await hub.kill();
  await client.says(/^reconnecting: ./m);
  await serve(t, new URL(hub.url).host);
}

async function publish({ url }, topic, data, query = '') {
  const answer = await fetch(`${url}/events/${topic}${query}`, { method: 'POST', body: data });
  assert.equal(answer.status, 200);
  return (await answer.json()).id;
}

/** A client as its user starts it. */
class Client {
  output = '';
  #look = () => {};

  constructor(t, ...command) {
    const child = spawn(process.execPath, command, { cwd: FOLDER, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.output += text;
        this.#look();
      });
    }
    this.exit = new Promise((resolve) => child.once('close', resolve));
    t.after(async () => {
      child.kill('SIGKILL');
      await this.exit;
    });
  }

  /** The lines so far that match and are whole. */
  lines(pattern) {
    return this.output.split('\n').slice(0, -1).filter((line) => pattern.test(line));
  }

  /** Waits until the output matches, or `condition()` holds after more output. */
  says(condition) {
    const met = () => (condition instanceof RegExp ? condition.test(this.output) : condition());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not met: ${condition}; it printed:\n${this.output}`)), 60_000);
      this.exit.then((code) => reject(new Error(`it ended with ${code} before ${condition}; it printed:\n${this.output}`)));
      this.#look = () => {
        if (!met()) return;
        clearTimeout(timer);
        resolve();
      };
      this.#look();
    });
  }
}
