// The time of day jumps, by an hour and by ten years, between two runs of a hub and within one: order, ids and what is kept stay
// right. The clock is that of libfaketime.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DurableHub, folder } from './lib/hub.mjs';
import { Reader } from './lib/load.mjs';
import { until } from './lib/process.mjs';

const HOUR = 3_600;
const YEARS = 10 * 365 * 24 * HOUR;
const JUMPS = { 'an hour ahead': HOUR, 'an hour back': -HOUR, 'ten years ahead': YEARS, 'ten years back': -YEARS };

describe('the time of day', { concurrency: 4 }, () => {
  for (const [jump, seconds] of Object.entries(JUMPS)) {
    test(`${jump} between two runs`, async (t) => {
      const { hub, set } = await underClock(t, []);
      await hub.start();
      const ids = await publish(hub, 20);
      const before = await hub.read();
      await hub.kill();
      await set(seconds);
      await hub.start();
      if (seconds < YEARS) { // in ten years all of it is older than a week
        assert.deepEqual(await hub.read(), before);
        for (const [at, id] of ids.entries()) assert.deepEqual(await hub.read('topic=*', { 'last-event-id': id }), before.slice(at + 1), `after ${id}`);
      }
      const more = await publish(hub, 20);
      await goesOn(hub, ids.at(-1), more);
      await hub.kill();
      await set(0);
      await hub.start();
      const last = await publish(hub, 20);
      await goesOn(hub, more.at(-1), last);
      const all = await hub.read();
      assert.deepEqual(all.slice(-40).map(({ id }) => id), [...more, ...last]);
      assert.deepEqual(all.map(({ time }) => time), all.map(({ time }) => time).sort(), 'times never go back');
      assert.doesNotMatch(hub.server.logs, /panicked/);
    });

    test(`${jump} within a run`, async (t) => {
      const { hub, set } = await underClock(t, ['--keep', '30m', '--keep-alive', '1s']);
      await hub.start();
      const reader = new Reader(hub);
      t.after(() => reader.stop());
      const once = { headers: { 'idempotency-key': 'before the jump' } };
      const ids = [(await hub.publish('news', 'once', once)).id];
      ids.push(...await publish(hub, 19));
      await until(() => reader.events.length === 20, { what: 'the reader is there', within: 60 });
      await set(seconds);
      for (let beat = 0; beat < 3; beat++) { // time enough for whatever looks at ages
        const { bytes } = reader;
        await until(() => reader.bytes > bytes, { what: 'a keep-alive', within: 60 });
      }
      assert.deepEqual((await hub.read()).map(({ id }) => id), ids, 'a jump makes nothing old');
      assert.equal((await hub.publish('news', 'once', once)).id, ids[0], 'nor forgotten');
      ids.push(...await publish(hub, 20));
      await until(() => reader.events.length === 40, { what: 'the reader goes on', within: 60 });
      assert.equal(reader.connections, 1, 'the stream is the same');
      const all = await hub.read();
      assert.deepEqual(all.map(({ id }) => id), ids);
      assert.deepEqual(all.map(({ time }) => time), all.map(({ time }) => time).sort(), 'times never go back');
      await set(0);
      ids.push(...await publish(hub, 5));
      assert.deepEqual((await hub.read()).map(({ id }) => id), ids);
      assert.doesNotMatch(hub.server.logs, /panicked/);
      assert.deepEqual(await hub.stop(), { code: 0, signal: null });
    });
  }

  for (const [wrong, seconds] of [['an hour ahead', HOUR], ['ten years ahead', YEARS]]) {
    for (const [righted, restart] of [['at the next start', true], ['while it ran', false]]) {
      test(`a clock that was ${wrong} and was set right ${righted} keeps nothing for ever`, async (t) => {
        const { hub, set } = await underClock(t, ['--keep', '8s']);
        await set(seconds);
        await hub.start();
        const early = await publish(hub, 3);
        if (restart) await hub.kill();
        await set(0);
        if (restart) {
          await hub.start();
          assert.deepEqual((await hub.read()).map(({ id }) => id), early, 'they are young');
        }
        const brief = await hub.publish('brief', 'gone in a second', { query: '?ttl=1s' });
        assert.equal(brief.status, 200);
        const is = async (topic, number) => (await hub.read(`topic=${topic}`)).filter(({ type }) => type !== 'oyez.gap').length === number;
        await until(() => is('brief', 0), { what: 'what lived a second is over', within: 30 });
        const stats = await (await fetch(`${hub.url}/stats`)).json();
        assert.ok(Math.abs(stats.history.clock_ahead_seconds - seconds) < 60, JSON.stringify(stats.history));
        assert.match(hub.server.logs, /ahead of this machine's clock/);
        await until(() => is('news', 0), { what: 'what is older than is kept leaves', within: 60 });
        await hub.publish('other', 'x');
        const now = await hub.read('topic=other&since=1m');
        assert.ok(now.length > 0, 'a time of this run is understood');
      });
    }
  }
});

/** New ids are after old ones, and a resume finds just them. */
async function goesOn(hub, old, ids) {
  const numbers = [old, ...ids].map((id) => Number(id.split(':')[1]));
  assert.ok(numbers.every((number, index) => index === 0 || number > numbers[index - 1]), `${old} ${ids}`);
  assert.equal(new Set([old, ...ids].map((id) => id.split(':')[0])).size, 1, 'one epoch');
  assert.deepEqual((await hub.read('topic=*', { 'last-event-id': ids[0] })).map(({ id }) => id), ids.slice(1));
}

async function publish(hub, number) {
  const ids = [];
  for (let n = 0; n < number; n++) {
    const { status, id } = await hub.publish('news', `${n}`);
    assert.equal(status, 200);
    ids.push(id);
  }
  return ids;
}

/** A hub whose clock differs from the true one by as many seconds as `set` says. What measures spans of time is left alone, as by a real jump. */
async function underClock(t, flags) {
  const place = await folder(t);
  const file = join(place, 'clock');
  const set = async (seconds) => {
    await writeFile(`${file}.new`, `${seconds < 0 ? '' : '+'}${seconds}s\n`);
    await rename(`${file}.new`, file);
  };
  await set(0);
  const env = { LD_PRELOAD: library(), FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
  const hub = await DurableHub.make(t, { flags, env });
  return { hub, set };
}

function library() {
  const places = readdirSync('/usr/lib').map((place) => `/usr/lib/${place}/faketime/libfaketimeMT.so.1`);
  const found = places.find((place) => existsSync(place));
  if (!found) throw new Error('no libfaketime; as root: apt-get install -y --no-install-recommends faketime');
  return found;
}
