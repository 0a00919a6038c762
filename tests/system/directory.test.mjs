// What people do to the directory of a history while nobody thinks of the hub: copy it and put it back, move it, remove its lock.
import assert from 'node:assert/strict';
import { cp, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DurableHub, folder, oyez } from './lib/hub.mjs';
import { until } from './lib/process.mjs';

const STORAGE = 70;

describe('the directory of a history', { concurrency: 2 }, () => {
  for (const [how, end] of [['a clean stop', 'stop'], ['a kill', 'kill']]) {
    test(`a copy that was made after ${how} and put back gives no event an id that another had`, { timeout: 60_000 }, async (t) => {
      const place = await folder(t);
      const [data, copy] = [join(place, 'data'), join(place, 'copy')];
      const hub = await DurableHub.make(t, { data });
      const publish = async (...names) => {
        const ids = [];
        for (const name of names) ids.push((await hub.publish('news', name)).id);
        return ids;
      };
      await hub.start();
      const kept = await publish('1', '2', '3');
      await hub[end]();
      await cp(data, copy, { recursive: true });

      const lost = [];
      for (let round = 0; round < 2; round++) {
        await hub.start();
        lost.push(...await publish('4', '5', '6'));
        await hub.stop();
        await rm(data, { recursive: true });
        await cp(copy, data, { recursive: true });
      }
      await hub.start();
      const again = await publish('7', '8', '9');
      const all = [...kept, ...lost, ...again];
      assert.equal(new Set(all).size, all.length, `one id is one event: ${all}`);

      const after = (id) => hub.read('topic=news', { 'Last-Event-ID': id });
      assert.deepEqual((await after(kept[2])).map(({ data }) => data), ['7', '8', '9'], 'who has what was kept reads on');
      for (const id of lost) {
        const [gap, ...rest] = await after(id);
        assert.equal(gap.type, 'oyez.gap', `${id} is lost, and that is told`);
        assert.equal(JSON.parse(gap.data).reason, 'crash');
        assert.deepEqual(rest.map(({ data }) => data), ['7', '8', '9']);
      }
    });
  }

  test('a removed lock lets no second hub in', { timeout: 60_000 }, async (t) => {
    const hub = await DurableHub.make(t);
    await hub.start();
    await rm(join(hub.data, 'lock'));
    const second = await oyez(['serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data', hub.data]);
    assert.equal(second.code, 78);
    assert.match(second.stderr, /is in use by another process/);
    assert.equal((await hub.publish('news', 'x')).status, 200);
  });

  for (const [what, instead] of [['moved', false], ['moved and made anew', true]]) {
    test(`a hub whose directory is ${what} ends, and what it acknowledged is where the directory went`, { timeout: 60_000 }, async (t) => {
      const hub = await DurableHub.make(t);
      await hub.start();
      const moved = `${hub.data}-moved`;
      const ids = [(await hub.publish('news', 'before')).id];
      await rename(hub.data, moved);
      if (instead) await mkdir(hub.data, { mode: 0o700 });
      await until(async () => {
        const answer = await hub.publish('news', 'after').catch(() => undefined);
        if (answer?.status === 200) ids.push(answer.id);
        return hub.server.exited;
      }, { what: 'it ends', within: 20 });
      assert.deepEqual(hub.server.exited, { code: STORAGE, signal: null }, hub.server.logs);
      assert.match(hub.server.logs, instead ? /is another directory now/ : /is not there any more/);
      if (instead) assert.deepEqual(await readdir(hub.data), [], 'nothing was written elsewhere');

      await rm(hub.data, { recursive: true, force: true });
      await rename(moved, hub.data);
      await hub.start();
      assert.deepEqual((await hub.read()).map(({ id }) => id), ids);
    });
  }
});
