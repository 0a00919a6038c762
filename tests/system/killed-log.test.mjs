// A real log published with `oyez pub --lines --file` to a hub that is killed meanwhile, and collected by an `oyez sub` that resumes:
// what it prints is the file, byte for byte.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { oyezBinary } from '../browser/lib/server.mjs';
import { DurableHub, folder, LONG } from './lib/hub.mjs';
import { log } from './lib/log.mjs';
import { until } from './lib/process.mjs';

const LINES = LONG ? 1_000_000 : 20_000;
const KILLS = LONG ? 10 : 3;
const PATH = '/events/logs/%E5%BA%94%E7%94%A8';

test(`${LINES} lines of a log, and ${KILLS} times SIGKILL: what is collected is the file`, { timeout: LONG ? 1_800_000 : 300_000 }, async (t) => {
  const place = await folder(t);
  const file = join(place, 'app.log');
  await write(file, log(LINES));
  const { size } = await stat(file);
  const hub = await DurableHub.make(t);
  await hub.start();

  const collecting = run(t, ['sub', '--json', '--since', 'earliest', '--max-events', `${LINES}`, hub.url + PATH]);
  const collected = collect(collecting.child.stdout);
  const publishing = run(t, ['pub', '--lines', '--file', file, hub.url + PATH]);
  const fd = await until(() => descriptor(publishing.child.pid, file), { what: 'the file is opened', within: 60 });

  for (let kill = 1; kill <= KILLS; kill++) {
    const enough = size * kill / (KILLS + 1);
    await until(
      async () => publishing.ended || await position(publishing.child.pid, fd.result) >= enough,
      { what: `${enough} bytes are read`, within: LONG ? 600 : 60, look: () => publishing.errors },
    );
    assert.equal(publishing.ended, undefined, `it is killed while lines are published: ${publishing.errors}`);
    await hub.kill();
    await hub.start();
    collecting.child.kill('SIGUSR1'); // it would come back by itself some seconds later
  }

  assert.deepEqual(await publishing.exit, { code: 0, signal: null }, publishing.errors);
  assert.match(publishing.errors, /^oyez: lines \d+ to \d+ published at attempt \d+$/m, 'it has sent some lines again');
  assert.deepEqual(await collecting.exit, { code: 0, signal: null }, collecting.errors);
  const { events, connections, others, hash, ids } = await collected;
  assert.deepEqual(others, [], 'no gap is told, and no error but the hub being away');
  assert.equal(events, LINES);
  assert.equal(ids, LINES, 'no id names two lines');
  assert.ok(connections > KILLS, `${connections} connections`);
  assert.equal(hash, await hashOf(file));
  const more = await hub.read('topic=*', { 'last-event-id': await lastId(hub) });
  assert.deepEqual(more, [], 'nothing stands after the last line');
});

/** `oyez …`, ended after the test. */
function run(t, args) {
  const child = spawn(oyezBinary(), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const process = { child, errors: '', ended: undefined };
  child.stderr.setEncoding('utf8').on('data', (text) => { process.errors += text; });
  process.exit = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => { process.ended = { code, signal }; resolve(process.ended); });
  });
  return process;
}

/** What `oyez sub --json` prints: the data of all events, each with a line feed, as a hash. */
async function collect(output) {
  const hash = createHash('sha256');
  const found = { events: 0, connections: 0, others: [] };
  const ids = new Set();
  for await (const line of createInterface({ input: output, crlfDelay: Infinity })) {
    const { kind, type, data, id, ...rest } = JSON.parse(line);
    if (kind === 'event' && type === 'message') {
      found.events++;
      ids.add(id);
      hash.update(`${data}\n`);
    } else if (kind === 'open') found.connections++;
    else if (kind !== 'error') found.others.push({ kind, type, data, id, ...rest });
  }
  return { ...found, ids: ids.size, hash: hash.digest('hex') };
}

async function lastId(hub) {
  const [{ id }] = await hub.read('topic=*&last=1');
  return id;
}

async function write(file, lines) {
  const out = createWriteStream(file);
  for (const line of lines) {
    if (!out.write(`${line}\n`)) await new Promise((resolve) => { out.once('drain', resolve); });
  }
  await new Promise((resolve, reject) => out.once('error', reject).end(resolve));
}

async function hashOf(file) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk);
  return hash.digest('hex');
}

/** The number under which a process has opened a file, if it has. */
async function descriptor(pid, file) {
  const folder = `/proc/${pid}/fd`;
  for (const fd of await readdir(folder)) {
    if (await readlink(join(folder, fd)).catch(() => undefined) === file) return fd;
  }
  return undefined;
}

/** How far it has read. */
async function position(pid, fd) {
  const info = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8').catch(() => 'pos: 0');
  return Number(/^pos:\s+(\d+)/m.exec(info)[1]);
}
