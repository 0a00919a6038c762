// A hub that is killed again and again while it is published to and read from: what it acknowledged is there, in order and once, no
// id names two events, and no reader has seen what is not kept.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { GONE } from '../browser/lib/server.mjs';
import { History } from './lib/history.mjs';
import { DurableHub, LONG } from './lib/hub.mjs';
import { Publisher, Reader } from './lib/load.mjs';
import { until } from './lib/process.mjs';

const ROUNDS = LONG ? 1_000 : 20;
const PUBLISHERS = 4;

for (const { durability, rounds = ROUNDS, stderr, beside = '' } of [
  { durability: 'fsync' },
  { durability: 'flush' },
  { durability: 'fsync', rounds: Math.ceil(ROUNDS / 4), stderr: GONE, beside: ', with nobody at standard error' },
]) {
  test(`${rounds} times SIGKILL at level ${durability}${beside}`, { timeout: 60_000 + rounds * 8_000 }, async (t) => {
    const hub = await DurableHub.make(t, { durability, stderr });
    await hub.start();
    const history = new History();
    const resume = () => (history.last ? { 'last-event-id': history.last } : {});
    const publishers = Array.from({ length: PUBLISHERS }, (_, n) => new Publisher(`p${n}`, hub, history, { named: n % 2 === 0 }));
    const readers = [new Reader(hub), new Reader(hub, 'shared')];
    t.after(() => { for (const one of [...publishers, ...readers]) one.stop(); });

    let slowest = 0;
    for (let round = 0; round < rounds; round++) {
      await pause(20 + Math.random() * 380);
      await hub.kill();
      slowest = Math.max(slowest, await hub.start());
      // a resume right after the start, before any new publish has been waited for
      history.extend(await hub.read('topic=*', resume()));
      if (LONG && round % 100 === 0) t.diagnostic(`round ${round}: ${history.length} events, ${history.acknowledged} acknowledged`);
    }

    await pause(100);
    await Promise.all(publishers.map((publisher) => publisher.stop()));
    history.extend(await hub.read('topic=*', resume()));
    history.equals(await hub.read());
    const shared = await hub.read('topic=shared');
    await until(
      () => readers[0].events.length >= history.length && readers[1].events.length >= shared.length,
      { what: 'the readers have it all', within: 60, look: () => readers.map(({ events, connections }) => ({ events: events.length, connections })) },
    ).catch((error) => t.diagnostic(error.message)); // the history says what is wrong
    for (const reader of readers) history.saw(`the reader of ${reader.topic ?? 'all'}`, reader.events, { topic: reader.topic, whole: true });

    assert.deepEqual(history.faults(), []);
    assert.ok(history.acknowledged > rounds * 10, `${history.acknowledged} acknowledged`);
    assert.ok(readers.every(({ connections }) => connections > rounds / 2), 'readers came back');
    t.diagnostic(`${history.acknowledged} acknowledged, ${history.length} kept, slowest start ${slowest.toFixed(0)} ms`);
  });
}
