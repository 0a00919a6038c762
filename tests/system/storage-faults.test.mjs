// A disk that is slow, fails or is full. The hub is the finished binary; the faults are those of strace and of a small file system.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, open, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { GONE } from '../browser/lib/server.mjs';
import { History } from './lib/history.mjs';
import { DurableHub, folder, LONG, oyez } from './lib/hub.mjs';
import { Publisher, Reader } from './lib/load.mjs';
import { descriptors, until } from './lib/process.mjs';
import { calls, strace, SYNCS } from './lib/trace.mjs';

const run = promisify(execFile);
const SLOW_MS = 50;
const VERY_SLOW_MS = 20_000;
const STORAGE = 70; // sysexits.h, EX_SOFTWARE
const UNHEARD = { stderr: GONE, beside: ', with nobody at standard error' };
const FAILS_AT = LONG ? Array.from({ length: 50 }, (_, n) => n + 1) : [1, 2, 3, 4, 6, 9, 14];

describe('a disk', { concurrency: 2 }, () => {
  test('no publish is answered, and no reader has it, while its fdatasync is pending', { timeout: 180_000 }, async (t) => {
    const file = join(await folder(t), 'trace');
    const hub = await DurableHub.make(t, { durability: 'fsync', through: strace(file, '-e', `inject=fdatasync:delay_enter=${SLOW_MS * 1_000}`) });
    await hub.start();
    await hub.publish('news', 'the first one may make files');
    const reader = new Reader(hub, 'news');
    t.after(() => reader.stop());
    await until(() => reader.events.length === 1, { what: 'the reader is there', within: 60 });

    const sent = [];
    for (let n = 0; n < 10; n++) {
      sent.push(performance.now());
      assert.equal((await hub.publish('news', marked(n))).status, 200);
      const took = performance.now() - sent[n];
      assert.ok(took >= SLOW_MS, `publish ${n} was answered after ${took} ms`);
    }
    const made = (await calls(file)).filter(({ end }) => end !== undefined);
    const answers = made.filter(({ text }) => text.includes('"HTTP/1.1 200 OK') && text.includes('{\\"id\\":'));
    assert.equal(answers.length, 1 + 10, 'the answers are seen in the trace');
    for (let n = 0; n < 10; n++) {
      const written = made.find(({ name, text }) => name.startsWith('pwrite') && text.includes(marked(n)));
      assert.ok(written, `entry ${n} is seen to be written`);
      const synced = made.find(({ name, begin }) => name === 'fdatasync' && begin > written.end);
      const answered = answers[n + 1];
      assert.ok(synced && synced.end < answered.begin, `entry ${n}: written ${written.end}, synced ${synced?.begin} to ${synced?.end}, answered ${answered.begin}`);
      const told = made.find(({ name, text }) => ['sendto', 'sendmsg', 'write', 'writev'].includes(name) && text.includes(`data: ${marked(n)}`));
      assert.ok(told && synced.end < told.begin, `entry ${n}: synced ${synced.end}, sent to the reader ${told?.begin}`);
    }

    // many at once: the next batch forms while one is synced, and none is answered by the sync of the one before
    const syncs = async () => (await calls(file)).filter(({ name }) => name === 'fdatasync').length;
    const before = await syncs();
    const many = await Promise.all(Array.from({ length: 64 }, async (_, n) => {
      await pause(n * 3);
      const begin = performance.now();
      assert.equal((await hub.publish('many', 'x')).status, 200);
      return performance.now() - begin;
    }));
    assert.ok(Math.min(...many) >= SLOW_MS, `the quickest took ${Math.min(...many)} ms`);
    const shared = await syncs() - before;
    assert.ok(shared < 64 / 2, `they share a sync: ${shared} for 64 publishes`);
  });

  test('at level flush nobody waits for the disk', { timeout: 180_000 }, async (t) => {
    const file = join(await folder(t), 'trace');
    const hub = await DurableHub.make(t, { durability: 'flush', through: strace(file, '-e', `inject=${SYNCS}:delay_enter=${VERY_SLOW_MS * 1_000}:when=9+`) });
    await hub.start();
    const begin = performance.now();
    for (let n = 0; n < 10; n++) assert.equal((await hub.publish('news', 'x')).status, 200);
    const took = performance.now() - begin;
    assert.ok(took < VERY_SLOW_MS, `10 publishes took ${took} ms`);
  });

  for (const { at, stderr, beside = '' } of [...FAILS_AT.map((at) => ({ at })), ...[4, 9].map((at) => ({ at, ...UNHEARD }))]) {
    test(`sync ${at} fails: nothing is acknowledged after it, the hub ends with status 70, and all that was acknowledged is there${beside}`, { timeout: 180_000 }, async (t) => {
      const file = join(await folder(t), 'trace');
      const hub = await DurableHub.make(t, { stderr, through: strace(file, '-e', `inject=${SYNCS}:error=EIO:when=${at}`) });
      const history = new History();
      const started = await hub.start().then(() => true, (error) => {
        assert.match(error.message, /status 70|input\/output error/i);
        return false;
      });
      const readers = [];
      if (started) await failWhilePublishing(t, hub, history, file, at, readers);

      hub.through = []; // and with a sound disk
      await hub.start();
      history.extend(await hub.read());
      for (const reader of readers) history.saw('a reader', reader.events, {});
      assert.deepEqual(history.faults(), []);
      assert.equal((await hub.publish('news', 'x')).status, 200);
    });
  }

  for (const { at, stderr, beside = '' } of [...(LONG ? FAILS_AT : [2, 9]).map((at) => ({ at })), { at: 9, ...UNHEARD }]) {
    test(`write ${at} fails: whether the hub ends with status 70 or goes on, all that was acknowledged is there${beside}`, { timeout: 180_000 }, async (t) => {
      const file = join(await folder(t), 'trace');
      const hub = await DurableHub.make(t, { stderr, through: strace(file, '-e', `inject=pwrite64:error=EIO:when=${at}`) });
      const history = new History();
      const started = await hub.start().then(() => true, (error) => {
        assert.match(error.message, /status 70|input\/output error/i);
        return false;
      });
      const reader = new Reader(hub);
      t.after(() => reader.stop());
      if (started) {
        const publisher = new Publisher(`w${at}`, hub, history, { inFlight: 8 });
        t.after(() => publisher.stop());
        const failed = async () => (await calls(file)).some(({ name, error }) => name === 'pwrite64' && error === 'EIO');
        await until(failed, { what: 'a write has failed', within: 60 });
        const acknowledged = history.acknowledged;
        await until(() => hub.server.exited || history.acknowledged > acknowledged + 20, { what: 'it ends or goes on', within: 60 });
        await publisher.stop();
        if (hub.server.exited) assert.deepEqual(hub.server.exited, { code: STORAGE, signal: null }, hub.server.logs);
        assert.doesNotMatch(hub.server.logs, /panicked/);
        await hub.kill();
      }
      hub.through = []; // and with a sound disk
      await hub.start();
      history.extend(await hub.read());
      await reader.stop();
      history.saw('a reader', reader.events, {});
      assert.deepEqual(history.faults(), []);
      assert.equal((await hub.publish('news', 'x')).status, 200);
    });
  }

  for (const { stderr, beside = '' } of [{}, UNHEARD]) test(`a full disk is an answer: 507, readers go on, and it takes events again as soon as there is room${beside}`, { timeout: 300_000 }, async (t) => {
    const place = await smallDisk(t, '16m');
    const ballast = join(place, 'ballast');
    await writeFile(ballast, Buffer.alloc(6 << 20));
    const hub = await DurableHub.make(t, { data: join(place, 'data'), stderr });
    await hub.start();
    const reader = new Reader(hub);
    t.after(() => reader.stop());
    const kept = [];
    const publish = async (bytes) => {
      const data = `${kept.length} ${'x'.repeat(bytes)}`;
      const answer = await hub.publish('bulk', data);
      if (answer.status === 200) kept.push({ id: answer.id, data });
      return answer;
    };

    let full;
    for (let n = 0; n < 1_000 && !full; n++) {
      const answer = await publish(60_000);
      if (answer.status !== 200) full = answer;
    }
    await isFull(full);
    assert.ok(kept.length > 20, `${kept.length} events of 60 kB in 10 MiB`);
    for (let n = 0; n < 50; n++) { // smaller ones may find room
      const answer = await publish(n * 500);
      if (answer.status !== 200) await isFull(answer);
    }
    await isFull(await publish(900_000));
    assert.equal((await hub.publish('bulk', 'x\n'.repeat(20), { query: '?lines' })).status === 200, false, 'lines find no room either');
    await check('while it is full');
    assert.equal(await hub.ready(), 200, 'it is no reason to send readers elsewhere');
    if (!stderr) await hub.server.says(/no room on the disk for the history/);
    if (!stderr) assert.equal(hub.server.logs.match(/no room on the disk for the history/g)?.length, 1, 'the log says it, and not each time');

    await hub.kill();
    await hub.start();
    await check('after SIGKILL and a start with a full disk');
    await isFull(await publish(900_000));

    await rm(ballast);
    const { seconds } = await until(async () => (await publish(60_000)).status === 200, { what: 'it takes events again', within: 5 });
    t.diagnostic(`takes events again after ${seconds.toFixed(1)} s`);
    for (let n = 0; n < 5; n++) assert.equal((await publish(1_000)).status, 200);
    await check('with room again');
    assert.equal(reader.connections, 2, 'readers were cut by nothing but SIGKILL');
    await hub.kill();
    await hub.start();
    await check('after another start');

    async function isFull(answer) {
      assert.equal(answer.status, 507, JSON.stringify(answer));
      assert.match(answer.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
      assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
    }

    async function check(when) {
      const found = await hub.read();
      assert.deepEqual(found.map(({ id, data }) => `${id} ${data.length}`), kept.map(({ id, data }) => `${id} ${data.length}`), when);
      assert.ok(found.every(({ data }, index) => data === kept[index].data), when);
      await until(() => reader.events.length >= kept.length, { what: `the reader has it all ${when}`, within: 60, look: () => reader.events.length });
      assert.deepEqual(reader.events.map(({ id, type }) => `${id} ${type}`), kept.map(({ id }) => `${id} message`), when);
    }
  });
});

describe('the limits of the process', { concurrency: 3 }, () => {
  const limit = (hub, what) => run('prlimit', ['--pid', String(hub.pid), what]);

  test('a file that may not grow is an answer, 507, and not the end', { timeout: 60_000 }, async (t) => {
    const hub = await DurableHub.make(t, { through: ['prlimit', '--fsize=200000:unlimited', '--'] });
    await hub.start();
    const full = await hub.publish('news', 'x');
    assert.deepEqual([full.status, hub.server.exited], [507, undefined], JSON.stringify(full));
    assert.match(full.detail, /too large/i);
    await limit(hub, '--fsize=unlimited:unlimited');
    await until(async () => (await hub.publish('news', 'y')).status === 200, { what: 'it takes events again', within: 20 });
    assert.deepEqual((await hub.read()).map(({ data }) => data), ['y']);
  });

  test('without a descriptor for the next file publishes are refused, and go on when there is one', { timeout: 60_000 }, async (t) => {
    const hub = await DurableHub.make(t, { flags: ['--keep-bytes', '64MiB'] });
    await hub.start();
    const kept = [];
    const publish = async () => {
      const answer = await hub.publish('bulk', `${kept.length} ${'x'.repeat(500_000)}`);
      if (answer.status === 200) kept.push(answer.id);
      return answer;
    };
    await publish();
    // one more than are open: the connection that asks has it
    await limit(hub, `--nofile=${await descriptors(hub.pid) + 1}:1024`);
    let refused;
    await until(async () => (refused = await publish()).status !== 200, { what: 'a file is needed', within: 30 });
    assert.equal(refused.status, 503, JSON.stringify(refused));
    assert.match(refused.detail, /no descriptor for the history/);
    assert.ok(refused.headers.get('retry-after'));
    await limit(hub, '--nofile=1024:1024');
    await until(async () => (await publish()).status === 200, { what: 'it takes events again', within: 20 });
    assert.deepEqual((await hub.read()).map(({ id }) => id), kept);
    assert.equal(hub.server.exited, undefined);
  });

  for (const name of ['store', 'dropped', 'values']) {
    test(`a file ${name} that is larger than memory is damaged, and nothing else`, { timeout: 120_000 }, async (t) => {
      const hub = await DurableHub.make(t);
      await hub.start();
      await hub.publish('news', 'x');
      await hub.stop();
      const file = await open(join(hub.data, name), 'a');
      await file.truncate(2 ** 40);
      await file.close();
      const [verified, served] = [await oyez(['log', 'verify', hub.data]), await oyez(['serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data', hub.data])];
      assert.deepEqual([verified.code, served.code], [1, 78], `${verified.stderr}${served.stderr}`);
      assert.match(verified.stdout + verified.stderr, new RegExp(`^${name}\\b`, 'm'));
      const repaired = await oyez(['log', 'repair', hub.data, '--yes']);
      assert.equal(repaired.code, 0, repaired.stderr);
      await hub.start();
      assert.deepEqual((await hub.read()).filter(({ type }) => type === 'message').map(({ data }) => data), ['x']);
    });
  }
});

/** Publishes until sync number `at` of some thread fails, and sees the hub end. */
async function failWhilePublishing(t, hub, history, file, at, readers) {
  const clock = performance.timeOrigin; // the trace has the time of day
  const answers = [];
  const told = { answered(names, ids, sent, answered) { answers.push({ name: names[0], sent: clock + sent, answered: clock + answered }); history.answered(names, ids, sent, answered); } };
  const alone = at % 2 === 1;
  const publisher = new Publisher(`p${at}`, hub, told, { inFlight: alone ? 1 : 8 });
  readers.push(new Reader(hub));
  t.after(() => Promise.all([publisher, ...readers].map((one) => one.stop())));

  const readiness = [];
  const ended = until(() => hub.server.exited, { what: 'it ends', within: 60 });
  while (!hub.server.exited) {
    const asked = Date.now();
    readiness.push({ asked, status: await hub.ready(), answered: Date.now() });
    await Promise.race([pause(10), ended]);
  }
  const exitedAt = Date.now();
  await publisher.stop();
  await Promise.all(readers.map((reader) => reader.stop()));

  const failure = (await calls(file)).find(({ name, error }) => SYNCS.includes(name) && error === 'EIO');
  assert.ok(failure, 'a sync has failed');
  assert.deepEqual(hub.server.exited, { code: STORAGE, signal: null }, hub.server.logs);
  assert.doesNotMatch(hub.server.logs, /panicked/);
  assert.ok(exitedAt - failure.at < 2_000, `it ended ${exitedAt - failure.at} ms after the failure`);
  const late = readiness.filter(({ asked, status }) => asked > failure.at + 1_000 && status === 200);
  assert.deepEqual(late, [], `readyz said 200 more than a second after the failure at ${failure.at}`);
  const after = answers.filter(({ sent, answered }) => (alone ? answered : sent) > failure.at);
  assert.deepEqual(after, [], `acknowledged after the failure at ${failure.at}`);
}

/** What is in the data of entry `n` and nowhere else. */
function marked(n) {
  return `entry-${n}-of-ten`;
}

/** A file system of its own of so many bytes, unmounted after the test. */
async function smallDisk(t, size) {
  if (process.getuid() !== 0) throw new Error('a small file system needs root: sudo -E env "PATH=$PATH" ./test system');
  const disk = await mkdtemp(join(tmpdir(), 'oyez-small-'));
  t.after(async () => {
    await run('umount', ['--lazy', disk]); // a hub may still end
    await rmdir(disk);
  });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', disk]);
  return disk;
}
