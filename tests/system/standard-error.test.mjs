// A hub whose standard error takes nothing: nobody reads it, it is on a full disk, or whoever reads has stopped. Nothing else notices.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { Agent, request } from 'node:http';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { GONE, oyezBinary, startServer, STUCK } from '../browser/lib/server.mjs';
import { DurableHub } from './lib/hub.mjs';
import { until } from './lib/process.mjs';

const run = promisify(execFile);
const STREAMS = 20;

const PLACES = {
  'is a pipe that nobody reads': GONE,
  'is on a full disk': '/dev/full',
  'is a pipe whose reader has stopped': STUCK,
};

for (const [what, stderr] of Object.entries(PLACES)) {
  describe(`standard error ${what}`, { concurrency: 2 }, () => {
    test('a request of a proxy is answered, and publishes go on', async (t) => {
      const hub = await serve(t, stderr);
      await fill(hub, stderr);
      assert.equal((await publish(hub, { 'x-forwarded-for': '192.0.2.1' })).status, 403, 'this is what is logged');
      for (let n = 0; n < 20; n++) assert.equal((await publish(hub)).status, 200);
      assert.equal(hub.exited, undefined);
    });

    test(`SIGTERM ends ${STREAMS} streams properly, and then the hub`, async (t) => {
      const hub = await serve(t, stderr);
      await fill(hub, stderr);
      const streams = await Promise.all(Array.from({ length: STREAMS }, () => open(hub)));
      assert.equal((await publish(hub)).status, 200);
      assert.deepEqual(await hub.stop(), { code: 0, signal: null });
      for (const stream of streams) assert.ok((await stream.over).complete, 'its last chunk came');
      assert.deepEqual(streams.map((stream) => stream.text.match(/^data: ?hello$/gm)?.length), Array(STREAMS).fill(1));
    });

    test('too many open files are waited out', async (t) => {
      const hub = await serve(t, stderr);
      await fill(hub, stderr);
      const stream = await open(hub);
      await limit(hub, 3); // all that it has are above
      const refused = fetch(`${hub.url}/events/x?poll=1`, { headers: { connection: 'close' } });
      await until(async () => await waiting(hub) > 0, { what: 'a connection waits to be accepted', within: 60 });
      assert.equal(hub.exited, undefined);
      await limit(hub, 1_000);
      assert.equal((await refused).status, 200);
      assert.equal((await publish(hub)).status, 200);
      await until(() => stream.text.includes('hello'), { what: 'the stream goes on', within: 60 });
    });

    test('a history on disk is kept and closed properly', async (t) => {
      const hub = await DurableHub.make(t, { stderr, env: { OYEZ_LOG_LEVEL: 'debug' } });
      await hub.start();
      await fill(hub, stderr);
      for (let n = 0; n < 20; n++) assert.equal((await hub.publish('news', 'x')).status, 200);
      assert.deepEqual(await hub.stop(), { code: 0, signal: null });
      await hub.start();
      assert.equal((await hub.read()).length, 20);
    });
  });
}

test('what could not be written is counted and told when standard error takes lines again', async (t) => {
  const hub = await serve(t, STUCK);
  await fill(hub, STUCK);
  hub.readErrors();
  await hub.says(/lines of the log could not be written.* lines=[1-9]\d*/);
});

function serve(t, stderr) {
  const command = [oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  return startServer(command, { t, stderr, env: { OYEZ_LOG_LEVEL: 'debug' } });
}

/** Has so much logged that nothing more finds room where nobody reads. */
async function fill({ admin }, stderr) {
  if (stderr !== STUCK) return;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  // a pipe holds some 200 kB, and a thousand lines wait
  for (let n = 0; n < 1_500; n++) {
    await new Promise((resolve, reject) => {
      request(`${admin}/${'x'.repeat(2_000)}`, { agent }, (response) => response.resume().on('end', resolve)).on('error', reject).end();
    });
  }
  agent.destroy();
}

function publish({ url }, headers = {}) {
  return fetch(`${url}/events/news`, { method: 'POST', body: 'hello', headers });
}

/** A stream that has begun: its `text` so far, and `over` with its response. */
function open({ url }) {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/events/news`, { agent: false }, (response) => {
      const stream = { text: '' };
      response.setEncoding('utf8').on('data', (text) => { stream.text += text; }).on('error', () => {});
      stream.over = new Promise((over) => response.on('close', () => over(response)));
      resolve(stream);
    });
    asked.on('error', reject).end();
  });
}

function limit({ pid }, files) {
  return run('prlimit', ['--pid', `${pid}`, `--nofile=${files}:`]);
}

/** Connections that the hub has not accepted yet. */
async function waiting({ url }) {
  const { stdout } = await run('ss', ['--tcp', '--listening', '--numeric', '--no-header', `sport = :${new URL(url).port}`]);
  return Number(stdout.trim().split(/\s+/)[1]);
}
