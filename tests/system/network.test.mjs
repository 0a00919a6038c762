// What only a network shows: peers that are gone without a word, and what the kernel holds for those who do not read. These tests
// wait more than they work, so they wait together.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';
import { DurableHub } from './lib/hub.mjs';
import { HUB, network, STAYS, VANISHES } from './lib/network.mjs';
import { descriptors, resident, steadyDescriptors, until } from './lib/process.mjs';
import { ended } from './lib/stream.mjs';

const LONG = process.env.OYEZ_TEST_LONG === '1';
const MIB = 1 << 20;

describe('the network', { concurrency: true }, () => {
  test('streams whose peer has vanished are gone within 50 s, and the others notice nothing', { timeout: 300_000 }, async (t) => {
    const net = await network(t);
    const server = await startServer(serve(net), { t });
    const peers = await net.startPeer('./readers.mjs');
    const [busy, quiet] = ['busy', 'quiet'].map((topic) => `${server.url}/events/${topic}`);
    const metrics = () => peers.metrics(server.admin);
    await peers.open({ group: 'stays, busy', number: 5, url: busy, from: STAYS });
    await peers.open({ group: 'stays, quiet', number: 5, url: quiet, from: STAYS });
    const baseline = await steadyDescriptors(server.pid);

    await peers.open({ group: 'busy', number: 20, url: busy, from: VANISHES });
    await peers.open({ group: 'quiet', number: 20, url: quiet, from: VANISHES });
    // a stream with an end does not leave its connection
    await peers.open({ group: 'with an end', number: 5, url: `${busy}?limit=100000`, from: VANISHES });
    await peers.open({ group: 'asks nothing', number: 5, url: quiet, from: VANISHES, reads: false, asks: false });
    await peers.open({ group: 'half a head', number: 5, url: quiet, from: VANISHES, reads: false, asks: false });
    await peers.write({ group: 'half a head', text: 'GET /events/quiet HTTP/1.1\r\nhost:' });
    await until(async () => (await metrics()).oyez_subscribers === 55, { what: 'all are there', within: 60, look: async () => ended(await metrics()) });
    await peers.publishFrom1({ url: busy, everyMs: 200 });

    await net.vanish();
    const { seconds } = await until(
      async () => (await metrics()).oyez_subscribers === 10 && await descriptors(server.pid) <= baseline,
      { what: 'the vanished are gone', within: 50, look: async () => ({ open: await descriptors(server.pid), baseline, ended: ended(await metrics()) }) },
    );
    t.diagnostic(`gone after ${seconds.toFixed(1)} s`);
    assert.deepEqual(ended(await metrics()), { stalled: 45 });
    assert.equal(await steadyDescriptors(server.pid), baseline);

    const last = await peers.publishNoMore(busy);
    assert.ok(last > 50, `${last} events meanwhile`);
    await until(async () => (await peers.report('stays, busy')).every((stream) => stream.last === last), { what: 'the last event arrives', within: 60 });
    for (const stream of await peers.report('stays, busy')) assert.deepEqual(stream, { events: last, first: 1, last, ended: false, faults: [] });
    for (const stream of await peers.report('stays, quiet')) assert.deepEqual(stream, { events: 0, ended: false, faults: [] });
  });

  // over loopback: packets are larger there than the window, which is closed for most of the time
  for (const [receives, bytesPerSecond] of [[4_096, 20_000], [16_384, 10_000], [131_072, 5_000]]) {
    test(`a reader that takes ${bytesPerSecond} bytes a second, with room for ${receives}, is not cut`, { timeout: 150_000 }, async (t) => {
      const net = await network(t, { receives });
      const server = await startServer(net.atHub(oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'), { t });
      const peers = await net.startPeer('./readers.mjs', { beside: true });
      await readSlowly(server, peers, { bytesPerSecond, from: '127.0.0.1' });
    });
  }

  test('a reader that takes little is gone within 50 s when it has vanished', { timeout: 200_000 }, async (t) => {
    const net = await network(t);
    const server = await startServer(serve(net), { t });
    const peers = await net.startPeer('./readers.mjs');
    const { number, look } = await readSlowly(server, peers, { bytesPerSecond: 5_000, from: VANISHES });
    await net.vanish();
    const { seconds } = await until(async () => (await look()).open === 0, { what: 'they are gone', within: 50, look });
    t.diagnostic(`gone after ${seconds.toFixed(1)} s`);
    assert.deepEqual((await look()).ended, { stalled: number });
  });

  // B4 of the long form: 1,000 readers that take nothing, and 50 MB
  const [READ, RESUME, STOP, EVENTS] = LONG ? [50, 20, 980, 3_200] : [180, 10, 20, 160];
  const BYTES = 16_000;

  test(`${STOP} readers that read nothing cost little, are cut and harm nobody; ${RESUME} that read on in time lose nothing`, { timeout: 300_000 }, async (t) => {
    const net = await network(t);
    const server = await startServer(serve(net, '--keep-alive', '1h'), { t }); // nothing else is to wake a stream
    const peers = await net.startPeer('./readers.mjs');
    const url = `${server.url}/events/bulk`;
    const metrics = () => peers.metrics(server.admin);
    await peers.publish({ url: `${server.url}/events/other`, from: 1, number: 2, bytes: BYTES });
    const [baseline, memory] = [await steadyDescriptors(server.pid), await resident(server.pid)];

    await peers.open({ group: 'read', number: READ, url, from: STAYS });
    await peers.open({ group: 'stop', number: STOP, url, from: STAYS, reads: false });
    await peers.open({ group: 'resume', number: RESUME, url, from: STAYS, reads: false });
    const all = READ + STOP + RESUME;
    await until(async () => (await metrics()).oyez_subscribers === all, { what: 'all are there', within: 60 });
    const begin = performance.now();
    await peers.publish({ url, from: 1, number: EVENTS, bytes: BYTES });
    await until(async () => (await peers.report('read')).every((stream) => stream.last === EVENTS), { what: 'the others have everything', within: 60 });
    const seconds = (performance.now() - begin) / 1_000;
    for (const stream of await peers.report('read')) assert.deepEqual(stream, { events: EVENTS, first: 1, last: EVENTS, ended: false, faults: [] });

    // while nothing has been cut
    const kernel = (await sockets(net)).filter(({ unsent }) => unsent > 0);
    assert.equal(kernel.length, STOP + RESUME, 'as many sockets are full');
    const most = Math.max(...kernel.map(({ bytes }) => bytes));
    const grown = await resident(server.pid) - memory;
    t.diagnostic(`${EVENTS} events in ${seconds.toFixed(1)} s; a stopped reader: ${most >> 10} KiB in the kernel at most; process grown by ${(grown / MIB).toFixed(1)} MiB`);
    assert.ok(most <= 256 << 10, `${most} bytes in the kernel for one reader`);
    // the history, and of what each reader has not taken no more than the rest of one write
    assert.ok(grown <= EVENTS * BYTES * 1.2 + kernel.length * (64 << 10) + 8 * MIB, `${grown} bytes more`);
    assert.equal((await metrics()).oyez_subscribers, all, 'nobody was cut yet');

    await peers.resume('resume');
    await until(async () => (await peers.report('resume')).every((stream) => stream.last === EVENTS), { what: 'who reads on has everything', within: 60, look: () => peers.report('resume') });
    for (const stream of await peers.report('resume')) assert.deepEqual(stream, { events: EVENTS, first: 1, last: EVENTS, ended: false, faults: [] });
    const cut = await until(async () => (await metrics()).oyez_subscribers === READ + RESUME, { what: 'the stopped ones are cut', within: 45, look: async () => ended(await metrics()) });
    t.diagnostic(`cut ${cut.seconds.toFixed(1)} s later`);
    assert.deepEqual(ended(await metrics()), { stalled: STOP });
    assert.equal(await steadyDescriptors(server.pid), baseline + READ + RESUME);
    await peers.publish({ url, from: EVENTS + 1, number: 1, bytes: 1 });
    await until(async () => (await peers.report('read')).every((stream) => stream.last === EVENTS + 1), { what: 'the others go on', within: 60 });
  });

  test('readers that stop in the middle of a large event share it, on whatever path they have it', { timeout: 150_000 }, async (t) => {
    const net = await network(t);
    const hub = await DurableHub.make(t, { through: net.atHub(), flags: ['--keep-alive', '1h'] });
    await hub.start();
    const peers = await net.startPeer('./readers.mjs', { beside: true });
    // what takes most room as JSON: six bytes for each
    await peers.publish({ url: `${hub.url}/events/large?key=one`, from: 1, number: 1, fill: '\u0001', bytes: 1_000_000 });
    await hub.stop();
    await hub.start(); // it is on the disk only
    const metrics = () => peers.metrics(hub.admin);
    const [first, number] = [5, 60]; // the first ones pay for what all share
    for (const query of ['last=1', 'last=1&envelope=1', 'last=1&format=ndjson', 'snapshot=1', 'snapshot=1&envelope=1', 'last=1&poll=1', 'last=1&limit=5&format=ndjson']) {
      const stopped = async () => (await sockets(net)).filter(({ unsent }) => unsent > 0).length;
      const stop = async (group, number) => {
        const before = (await metrics()).oyez_subscribers;
        await peers.open({ group, number, url: `${hub.url}/events/large?${query}`, reads: false, from: '127.0.0.1' });
        await until(async () => await stopped() >= before + number, { what: `${query}: they stand in the middle of it`, within: 20, look: stopped });
      };
      await stop(`${query}, first`, first);
      const memory = await resident(hub.pid);
      await stop(query, number);
      const each = (await resident(hub.pid) - memory) / number;
      t.diagnostic(`${query}: ${Math.round(each / 1024)} KiB each`);
      assert.ok(each <= 256 << 10, `${query}: ${each} bytes each`);
    }
  });

  for (const query of ['last=1', 'last=1&bare=1']) {
    test(`readers that stop in large events of their own give them back, and have them whole when they read on: ${query}`, { timeout: 150_000 }, async (t) => {
      const net = await network(t);
      const hub = await DurableHub.make(t, { through: net.atHub(), flags: ['--keep-alive', '1h'] });
      await hub.start();
      const peers = await net.startPeer('./readers.mjs', { beside: true });
      const [rounds, each] = [4, 20];
      const number = rounds * each;
      const names = Array.from({ length: number }, (_, n) => `large-${n}`);
      for (const name of names) await peers.publish({ url: `${hub.url}/events/${name}`, from: 1, number: 1, bytes: 1_000_000 });
      await hub.stop();
      await hub.start(); // they are on the disk only
      const metrics = () => peers.metrics(hub.admin);
      const stopped = async () => (await sockets(net)).filter(({ unsent }) => unsent > 0).length;
      const memory = await resident(hub.pid);
      // what those of a round give back the next ones take: what is free the process may keep
      for (let round = 1; round <= rounds; round++) {
        const of = names.slice((round - 1) * each, round * each);
        for (const name of of) await peers.open({ group: name, number: 1, url: `${hub.url}/events/${name}?${query}`, reads: false, from: '127.0.0.1' });
        await until(async () => await stopped() >= round * each, { what: 'they stand in the middle', within: 20, look: stopped });
        if (round < rounds) await pause(6_500); // they are looked at each 5 s
      }
      const grown = await resident(hub.pid) - memory;
      t.diagnostic(`${query}: ${(grown / MIB).toFixed(1)} MiB for ${number}`);
      // those of the last round have not been looked at, and hold all of it
      assert.ok(grown <= (number - each) * (256 << 10) + each * 1.2 * MIB, `${grown} bytes more`);
      for (const name of names) await peers.resume(name);
      for (const name of names) {
        await until(async () => (await peers.report(name))[0].last === 1, { what: `${name} comes whole`, within: 60, look: () => peers.report(name) });
        assert.deepEqual(await peers.report(name), [{ events: 1, first: 1, last: 1, ended: false, faults: [] }]);
      }
      assert.deepEqual(ended(await metrics()), {});
    });
  }
});

/** Streams that take few bytes a second, for longer than the stall time; none of them is cut. */
async function readSlowly(server, peers, how) {
  const [url, each] = [`${server.url}/events/bulk`, 4];
  const metrics = () => peers.metrics(server.admin);
  const look = async () => ({ open: (await metrics()).oyez_subscribers, ended: ended(await metrics()), streams: await reports() });
  const groups = { plain: url, 'with an end': `${url}?limit=100000` }; // one that does not leave its connection
  const reports = async () => (await Promise.all(Object.keys(groups).map((group) => peers.report(group)))).flat();
  for (const [group, url] of Object.entries(groups)) await peers.open({ group, number: each, url, ...how });
  const number = Object.keys(groups).length * each;
  await until(async () => (await metrics()).oyez_subscribers === number, { what: 'all are there', within: 20 });
  await peers.publish({ url, from: 1, number: 200, bytes: 16_000 });
  await pause(65_000); // twice the stall time, and the kernel's
  const { open, ended: reasons, streams } = await look();
  assert.deepEqual({ open, reasons }, { open: number, reasons: {} }, 'nobody was cut');
  for (const { last, faults, ended } of streams) assert.ok(last > 1 && !ended && faults.length === 0, JSON.stringify(streams));
  return { number, look };
}

function serve(net, ...flags) {
  return net.atHub(oyezBinary(), 'serve', '--listen', `${HUB}:0`, '--admin', `${HUB}:0`, ...flags);
}

/** The sockets of the hub's connections: bytes that wait to be sent or acknowledged, and the kernel's memory for all of it. */
async function sockets(net) {
  const { stdout } = await net.hub.run('ss', '--tcp', '--memory', '--numeric', '--no-header', '--oneline');
  return stdout.trim().split('\n').map((line) => {
    const [, received, queued] = /skmem:\(r(\d+),.*,w(\d+),/.exec(line);
    return { unsent: Number(line.trim().split(/\s+/)[2]), bytes: Number(received) + Number(queued) };
  });
}
