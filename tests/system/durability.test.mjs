// A hub with a data directory, from outside: what it finds when it starts again, and where it refuses to start.
import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { Decoder } from './lib/decoder.mjs';
import { DurableHub, folder, oyez } from './lib/hub.mjs';
import { until } from './lib/process.mjs';

const TOPICS = ['news', 'news/local', '天气'];
const REFUSED = 78; // sysexits.h, EX_CONFIG: a service manager need not start it again

describe('the data directory', { concurrency: 2 }, () => {
  for (const end of ['kill', 'stop']) {
    for (const durability of ['fsync', 'flush']) {
      test(`right after ${end === 'kill' ? 'SIGKILL' : 'SIGTERM'} at level ${durability} every old id resumes, before anything new is published`, async (t) => {
        const hub = await DurableHub.make(t, { durability });
        await hub.start();
        const ids = [];
        for (let n = 0; n < 90; n++) {
          const own = n % 10 === 7 ? { 'event-id': `own ${n}` } : {};
          const { status, id } = await hub.publish(TOPICS[n % 3], `data ${n}`, { headers: own });
          assert.equal(status, 200);
          ids.push(id);
        }
        const before = await hub.read();
        assert.deepEqual(before.map(({ id }) => id), ids);
        const { history } = await stats(hub);

        await hub[end]();
        await hub.start();
        assert.deepEqual(await hub.read(), before, 'all is there, with its types, topics and times');
        for (const [at, id] of ids.entries()) {
          const after = before.slice(at + 1);
          assert.deepEqual(await hub.read('topic=*', { 'last-event-id': id }), after, `after ${id}`);
          assert.deepEqual(await hub.read(`topic=*&since=${encodeURIComponent(id)}`), after, `since ${id}`);
          const some = after.filter(({ topics }) => topics[0].startsWith('news'));
          assert.deepEqual(await hub.read('topic=news&topic=news/*', { 'last-event-id': id }), some, `of some topics after ${id}`);
        }
        for (const number of [1, 7, 90, 200]) assert.deepEqual(await hub.read(`topic=*&last=${number}`), before.slice(-number), `last=${number}`);
        assert.deepEqual(await hub.read(`topic=${encodeURIComponent(TOPICS[2])}&last=2`), before.filter(({ topics }) => topics[0] === TOPICS[2]).slice(-2));
        const { time } = before[45];
        assert.deepEqual(await hub.read(`topic=*&since=${time}`), before.filter((event) => event.time >= time), 'since a time');
        const now = (await stats(hub)).history;
        for (const name of ['entries', 'topics', 'oldest']) assert.equal(now[name], history[name], name);

        // a stream at each of them is live, and says so without a gap
        const live = await Promise.all([ids[0], ids[44], ids[89]].map((id) => listen(t, hub, id)));
        const { id } = await hub.publish(TOPICS[0], 'new');
        const [epoch, sequence] = id.split(':');
        for (const old of ids.filter((one) => one.includes(':'))) {
          assert.equal(old.split(':')[0], epoch, 'nothing was lost, so ids go on');
          assert.ok(Number(old.split(':')[1]) < Number(sequence), `${id} is newer than ${old}`);
        }
        for (const [index, at] of [0, 44, 89].entries()) {
          const expected = [...before.slice(at + 1).map(({ id: one }) => one), id];
          await until(() => live[index].length >= expected.length, { what: `${expected.length} events`, within: 60, look: () => live[index].length });
          assert.deepEqual(live[index].map((event) => event.id), expected);
        }
      });
    }
  }

  test('a second hub on the same directory is refused and told whose it is', async (t) => {
    const hub = await DurableHub.make(t);
    await hub.start();
    const other = await oyez(serve(hub.data));
    assert.equal(other.code, REFUSED, other.stderr);
    assert.match(other.stderr, new RegExp(`\\b${hub.pid}\\b`), 'the process that has it');
    assert.ok(other.stderr.includes(hub.data), other.stderr);
    assert.equal(other.stderr.trim().split('\n').length, 1, 'one line');
    assert.equal((await hub.publish('news', 'x')).status, 200, 'the first one goes on');

    await hub.kill();
    await hub.start();
    assert.equal((await hub.read()).length, 1, 'a process that is gone locks nothing');
  });

  test('directory and files are for their owner alone, whatever the umask', async (t) => {
    const hub = await DurableHub.make(t, { data: join(await folder(t), 'a', 'b'), through: ['sh', '-c', 'umask 0; exec "$0" "$@"'] });
    await hub.start();
    for (let n = 0; n < 10; n++) await hub.publish('news', 'x'.repeat(100_000));
    await hub.stop();
    await hub.start();
    assert.equal(mode(await stat(hub.data)), '700');
    const files = await readdir(hub.data, { recursive: true });
    assert.ok(files.length > 1, files.join());
    for (const file of files) {
      const about = await stat(join(hub.data, file));
      assert.equal(mode(about), about.isDirectory() ? '700' : '600', file);
    }
  });

  const UNSAFE = {
    'that its group may write to': [(path) => chmod(path, 0o770), /chmod 700/],
    'that everyone may write to': [(path) => chmod(path, 0o707), /chmod 700/],
    'of another user': [(path) => chown(path, 12_345, 12_345), /12345/],
  };
  for (const [what, [change, advice]] of Object.entries(UNSAFE)) {
    test(`a directory ${what} is refused with advice, and left alone`, async (t) => {
      if (process.getuid() !== 0) throw new Error('files of another user need root: sudo -E env "PATH=$PATH" ./test system');
      const path = join(await folder(t), 'data');
      await mkdir(path, { mode: 0o700 });
      await change(path);
      const { code, stderr } = await oyez(serve(path));
      assert.equal(code, REFUSED, stderr);
      assert.ok(stderr.includes(path), stderr);
      assert.match(stderr, advice);
      assert.equal(stderr.trim().split('\n').length, 1, stderr);
      assert.deepEqual(await readdir(path), []);
    });
  }

  test('a file that a link has taken the place of is not followed', async (t) => {
    const hub = await DurableHub.make(t);
    await hub.start();
    await hub.publish('news', 'x');
    await hub.stop();
    for (const name of await readdir(hub.data)) {
      const file = join(hub.data, name);
      const victim = join(await folder(t), 'victim');
      await rename(file, `${victim}.kept`);
      await writeFile(victim, 'not yours');
      await symlink(victim, file);
      const { code, signal, stderr } = await oyez(serve(hub.data));
      assert.equal(await readFile(victim, 'utf8'), 'not yours', name);
      assert.ok(code !== 0, `${name}: ${code ?? signal}, ${stderr}`);
      await rm(file, { force: true });
      await rename(`${victim}.kept`, file);
    }
    await hub.start();
    assert.equal((await hub.read()).length, 1);
  });

  test('a byte that is wrong in the middle is refused with its place and what to do, and one in a torn end is not', async (t) => {
    const hub = await DurableHub.make(t);
    await hub.start();
    const ids = [];
    for (let n = 0; n < 20; n++) ids.push((await hub.publish('news', `entry number ${n};`)).id);
    await hub.kill();
    const [file, bytes, at] = await segmentWith(hub.data, 'entry number 3;');
    const damaged = Buffer.from(bytes);
    damaged[at + 2] ^= 0x10;
    await writeFile(file, damaged);
    const { code, stderr } = await oyez(serve(hub.data));
    assert.ok(code === 70 || code === REFUSED, `status ${code}: ${stderr}`);
    assert.ok(stderr.includes(basename(file)), stderr);
    const [, place] = /byte (\d+)/.exec(stderr) ?? [];
    assert.ok(Number(place) <= at && Number(place) > at - 200, `byte ${at} is wrong: ${stderr}`);
    assert.match(stderr, /oyez log repair/);
    assert.deepEqual(await readFile(file), damaged, 'a refusal changes nothing');

    // the last entry, cut in its middle: the process died while it wrote
    const end = bytes.indexOf('entry number 19;');
    await writeFile(file, Buffer.concat([bytes.subarray(0, end + 5), Buffer.alloc(bytes.length - end - 5)]));
    await hub.start();
    await hub.server.says(/WARN/);
    assert.deepEqual((await hub.read()).map(({ data }) => data), Array.from({ length: 19 }, (_, n) => `entry number ${n};`));
    const [gap, ...rest] = await hub.read('topic=news', { 'last-event-id': ids[19] });
    assert.deepEqual([gap?.type, JSON.parse(gap?.data ?? '{}').reason, rest], ['oyez.gap', 'crash', []], 'its id is known to be lost');
    const { id } = await hub.publish('news', 'new');
    assert.ok(!ids.includes(id), `${id} named another event`);
  });

  test('where the directory was deleted, old ids are told that their history is another one', async (t) => {
    const hub = await DurableHub.make(t);
    await hub.start();
    const old = [];
    for (let n = 0; n < 3; n++) old.push((await hub.publish('news', `${n}`)).id);
    await hub.kill();
    await rm(hub.data, { recursive: true });
    await hub.start();
    for (const published of [0, 2]) {
      if (published) for (let n = 0; n < published; n++) await hub.publish('news', `new ${n}`);
      for (const id of old) {
        const [gap, ...rest] = await hub.read('topic=news', { 'last-event-id': id });
        assert.equal(gap.type, 'oyez.gap');
        const { reason, requested } = JSON.parse(gap.data);
        assert.deepEqual({ reason, requested }, { reason: 'epoch', requested: id });
        assert.equal(rest.length, published);
        assert.equal((await fetch(`${hub.url}/events/news?poll=1&on_gap=fail`, { headers: { 'last-event-id': id } })).status, 410);
      }
    }
    const ids = (await hub.read()).map(({ id }) => id);
    assert.ok(ids.every((id) => !old.includes(id)), 'no id is used again');
  });

  test('thirty restarts with a publish or two each: no id is used again, no old one becomes unknown', { timeout: 300_000 }, async (t) => {
    const hub = await DurableHub.make(t);
    const ids = [];
    for (let restart = 0; restart < 30; restart++) {
      await hub.start();
      for (let n = 0; n <= restart % 2; n++) ids.push((await hub.publish('news', `${ids.length}`)).id);
      await (restart % 3 ? hub.kill() : hub.stop());
    }
    await hub.start();
    assert.equal(new Set(ids).size, ids.length);
    const all = await hub.read();
    assert.deepEqual(all.map(({ id, data }) => [id, data]), ids.map((id, index) => [id, `${index}`]));
    for (const [at, id] of ids.entries()) assert.deepEqual(await hub.read('topic=*', { 'last-event-id': id }), all.slice(at + 1));
  });

  test('a publish that is sent again after a restart is answered as before', async (t) => {
    const hub = await DurableHub.make(t);
    await hub.start();
    const headers = { 'idempotency-key': 'once' };
    const first = await hub.publish('news', 'x', { headers });
    await hub.kill();
    await hub.start();
    const again = await hub.publish('news', 'x', { headers });
    assert.deepEqual([again.status, again.id, again.headers.get('idempotent-replayed')], [200, first.id, 'true']);
    assert.equal((await hub.publish('news', 'y', { headers })).status, 422);
    assert.equal((await hub.read()).length, 1);
  });
});

/** The file that holds `text`, its bytes, and where it is in them. */
async function segmentWith(data, text) {
  for (const name of await readdir(data)) {
    const bytes = await readFile(join(data, name));
    const at = bytes.indexOf(text);
    if (at >= 0) return [join(data, name), bytes, at];
  }
  throw new Error(`no file holds ${text}`);
}

function serve(data) {
  return ['serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data', data];
}

function mode(about) {
  return (about.mode & 0o777).toString(8);
}

async function stats(hub) {
  return (await fetch(`${hub.url}/stats`)).json();
}

/** The events, and gaps, of a stream of everything after `id`. */
async function listen(t, hub, id) {
  const abort = new AbortController();
  t.after(() => abort.abort());
  const answer = await fetch(`${hub.url}/events?topic=*`, { headers: { 'last-event-id': id, accept: 'text/event-stream' }, signal: abort.signal });
  assert.equal(answer.status, 200);
  const events = [];
  const decoder = new Decoder((event) => events.push(event));
  (async () => { for await (const bytes of answer.body) decoder.feed(bytes); })().catch(() => {});
  return events;
}
