// A hub that is told to stop, seen by those who are connected to it.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';

const STREAMS = 400;
const WINDOW_SECONDS = 20; // so long that no machine is too slow for what is to happen within it
const GRACE_SECONDS = 10;

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} ends ${STREAMS} open streams at a frame border, one after the other, and then the hub`, async (t) => {
    const server = await startServer(serve(WINDOW_SECONDS), { t });
    const streams = await Promise.all(Array.from({ length: STREAMS }, () => Stream.open(server, '/events/busy')));
    assert.equal(await readiness(server), 200);
    const publishing = publishUntilRefused(server);
    await until(() => streams.every((stream) => stream.text.includes('data: ')));

    const slow = upload(server); // holds the drain open until readiness was asked for
    await slow.begun;
    process.kill(server.pid, signal);
    await until(async () => await readiness(server) === 503 || server.exited, 'readyz says 503');
    assert.equal(server.exited, undefined, 'readyz answers while the hub drains');
    slow.finish();
    await Promise.all(streams.map((stream) => stream.over));
    const exit = await ended(server, WINDOW_SECONDS + GRACE_SECONDS);

    assert.deepEqual(exit, { code: 0, signal: null });
    assert.deepEqual(streams.filter((stream) => stream.fault).map((stream) => stream.fault), [], 'no stream is reset');
    assert.ok(streams.every((stream) => stream.text.endsWith('\n\n')), 'the last frame is whole');
    const published = await publishing;
    for (const { text } of streams) {
      const numbers = text.match(/(?<=^data: ?)\d+$/gm).map(Number);
      assert.deepEqual(numbers, numbers.map((_, index) => numbers[0] + index), 'nothing is missing up to the end');
      assert.ok(numbers.at(-1) < published);
    }
    const ends = streams.map((stream) => stream.endedAt);
    assert.ok(Math.max(...ends) - Math.min(...ends) > 100, 'readers do not all come back at the same moment');
  });
}

test('while the hub drains, a plain request is finished and a new stream is refused', async (t) => {
  const server = await startServer(serve(WINDOW_SECONDS), { t });
  const slow = upload(server);
  await slow.begun;
  process.kill(server.pid, 'SIGTERM');
  await until(async () => await readiness(server) === 503, 'readyz says 503');
  await assert.rejects(Stream.open(server, '/events/late'), 'a new stream');
  slow.finish();
  assert.equal((await slow.answer).statusCode, 200);
  assert.deepEqual(await ended(server, WINDOW_SECONDS + GRACE_SECONDS), { code: 0, signal: null });
});

test('a reader that takes nothing does not hold the drain beyond its window', async (t) => {
  const server = await startServer(serve(2), { t });
  const stuck = await Stream.open(server, '/events/bulk');
  stuck.pause();
  const others = await Promise.all(Array.from({ length: 20 }, () => Stream.open(server, '/events/small')));
  for (let megabytes = 0; megabytes < 16; megabytes++) {
    const answer = await fetch(`${server.url}/events/bulk`, { method: 'POST', body: 'x'.repeat(1_000_000) });
    assert.equal(answer.status, 200);
  }
  const begin = performance.now();
  process.kill(server.pid, 'SIGTERM');
  assert.deepEqual(await ended(server, 2 + GRACE_SECONDS), { code: 0, signal: null });
  assert.ok(performance.now() - begin > 1_000, 'it has had its time');
  await Promise.all(others.map((stream) => stream.over));
  assert.deepEqual(others.filter((stream) => stream.fault), []);
});

for (const [first, second] of [['SIGTERM', 'SIGTERM'], ['SIGINT', 'SIGINT'], ['SIGTERM', 'SIGINT']]) {
  test(`${second} after ${first} ends the hub at once`, async (t) => {
    const server = await startServer(serve(60), { t });
    const slow = upload(server); // holds the drain open
    await slow.begun;
    process.kill(server.pid, first);
    await until(async () => await readiness(server) === 503, 'readyz says 503');
    assert.equal(server.exited, undefined, 'the drain waits for the request');
    process.kill(server.pid, second);
    await ended(server, 30); // half of the window
    await assert.rejects(slow.answer);
  });
}

/** A stream as `curl -N` reads it: `text` so far, `over` when the response has ended, `fault` unless it has ended as a whole. */
class Stream {
  text = '';

  static open({ url }, path) {
    return new Promise((resolve, reject) => {
      const asked = request(url + path, { agent: false, headers: { accept: 'text/event-stream' } }, (response) => {
        if (response.statusCode === 200) resolve(new Stream(response));
        else reject(new Error(`status ${response.statusCode}`));
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  constructor(response) {
    this.pause = () => response.pause();
    response.setEncoding('utf8').on('data', (text) => { this.text += text; });
    this.over = new Promise((resolve) => {
      response.on('error', (error) => { this.fault = error.message; });
      response.on('close', () => {
        if (!response.complete) this.fault ??= 'cut';
        this.endedAt = performance.now();
        resolve();
      });
    });
  }
}

function serve(drainSeconds) {
  return [oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--drain', `${drainSeconds}s`];
}

/** Numbers to `busy`, until the hub takes no more. Resolves to how many were tried. */
async function publishUntilRefused({ url }) {
  for (let number = 0; ; number++) {
    const answer = await fetch(`${url}/events/busy`, { method: 'POST', body: String(number) }).catch(() => undefined);
    if (!answer?.ok) return number + 1;
  }
}

/** A publish whose body has begun and goes on when `finish` is called. */
function upload({ url }) {
  const asked = request(`${url}/events/slow`, { method: 'POST', agent: false, headers: { 'content-length': 10, expect: '100-continue' } });
  const begun = new Promise((resolve, reject) => asked.on('continue', resolve).on('error', reject));
  const answer = new Promise((resolve, reject) => asked.on('response', (response) => resolve(response.resume())).on('error', reject));
  answer.catch(() => {});
  asked.flushHeaders();
  return { begun: begun.then(() => asked.write('half ')), answer, finish: () => asked.end('whole') };
}

async function readiness({ admin }) {
  return (await fetch(`${admin}/readyz`).catch(() => undefined))?.status;
}

async function ended(server, withinSeconds) {
  await until(() => server.exited, `the hub has ended; it printed:\n${server.logs}`, withinSeconds);
  return server.exited;
}

async function until(condition, what = 'the condition', withinSeconds = 60) {
  const end = performance.now() + withinSeconds * 1_000;
  while (!await condition()) {
    assert.ok(performance.now() < end, `${what}, within ${withinSeconds} s`);
    await pause(5);
  }
}
