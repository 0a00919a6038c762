// Connections that begin and end in every way there is, thousands of them: what the hub held for them comes back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';
import { descriptors, resident, steadyDescriptors, until } from './lib/process.mjs';
import { ask, ended, samples, Stream } from './lib/stream.mjs';

const CONNECTIONS = process.env.OYEZ_TEST_LONG === '1' ? 100_000 : 4_000;
const AT_ONCE = 50;
const MIB = 1 << 20;

/** Each opens a connection, ends it or has it ended, and resolves when its socket is closed. */
const ENDS = {
  'closes, having read the head': async (open) => {
    const stream = open('/events/busy');
    await stream.opened;
    stream.socket.end();
    await stream.over;
  },
  'resets, having read the head': async (open) => {
    const stream = open('/events/busy');
    await stream.opened;
    await reset(stream);
  },
  'resets a stream with an end, which hyper keeps': async (open) => {
    const stream = open('/events/busy?limit=1000');
    await stream.opened;
    await reset(stream);
  },
  'half-closes with the request': async (open) => {
    const stream = open('/events/busy');
    stream.socket.end();
    await stream.over;
  },
  'closes right after the request': async (open) => {
    const stream = open('/events/busy', { reads: false });
    await stream.connected;
    await close(stream);
  },
  'resets right after the request': async (open) => {
    const stream = open('/events/busy', { reads: false });
    await stream.connected;
    await reset(stream);
  },
  'closes in the middle of the head': async (open) => {
    const stream = open('/', { asks: false });
    stream.socket.end('GET /events/busy HTTP/1.1\r\nhost: 127.');
    await stream.over;
  },
  'resets in the middle of the head': async (open) => {
    const stream = open('/', { asks: false });
    await stream.connected;
    await new Promise((resolve) => stream.socket.write('GET /events/busy HTTP/1.1\r\nhost: 127.', resolve));
    await reset(stream);
  },
  'says nothing': async (open) => {
    const stream = open('/', { asks: false });
    await stream.connected;
    await close(stream);
  },
  'talks on behind the request until it is cut': async (open) => {
    const stream = open('/events/busy');
    stream.socket.write('z'.repeat(6_000));
    await stream.over;
  },
  'talks later until it is cut': async (open) => {
    const stream = open('/events/busy');
    await stream.opened;
    stream.socket.write('y'.repeat(5_000));
    await stream.over;
  },
  'closes with much unread': async (open) => {
    const stream = open('/events/history?since=earliest', { reads: false });
    await stream.connected;
    await pause(20); // a part of the history is on its way
    await close(stream);
  },
  'half-closes with much unread': async (open) => {
    const stream = open('/events/history?since=earliest', { reads: false });
    await stream.connected;
    await pause(20);
    stream.socket.end();
    stream.resume();
    await stream.over;
  },
};

test(`after ${CONNECTIONS} connections of every kind the hub holds what it held before`, { timeout: 1_200_000 }, async (t) => {
  const server = await startServer([oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { t });
  const metrics = async () => samples(await ask(`${server.admin}/metrics`));
  for (let n = 0; n < 20; n++) await ask(`${server.url}/events/history`, { method: 'POST', body: `${n} ${'x'.repeat(200_000)}` });
  const baseline = await steadyDescriptors(server.pid);
  const published = publish(server);

  const memory = [];
  for (const part of [1, 2, 3, 4]) {
    await churn(server, CONNECTIONS / 4);
    memory.push(await resident(server.pid));
  }
  const publishes = 20 + await published.stop();
  let last;
  const { seconds } = await until(async () => {
    last = await metrics();
    return last.oyez_subscribers === 0 && await descriptors(server.pid) === baseline;
  }, { what: 'all are gone', within: 60, look: async () => ({ subscribers: last.oyez_subscribers, open: await descriptors(server.pid), baseline }) });
  t.diagnostic(`gone after ${seconds.toFixed(2)} s; resident ${memory.map((bytes) => (bytes / MIB).toFixed(1)).join(', ')} MiB`);
  const begun = last['oyez_http_requests_total{route="events",status="2xx"}'] - publishes;
  assert.deepEqual(Object.keys(ended(last)), ['left']);
  // one whose reader went, or was cut, before its first byte counts as no stream
  assert.ok(ended(last).left > CONNECTIONS / 3 && ended(last).left <= begun, `${ended(last).left} of ${begun} streams have ended`);
  assert.ok(memory[3] < memory[0] + 4 * MIB, 'memory grows with each connection');
});

/** So many connections, `AT_ONCE` at a time, as many of each kind. */
async function churn({ url }, number) {
  const kinds = Object.entries(ENDS);
  let begun = 0;
  const worker = async () => {
    while (begun < number) {
      const n = begun++;
      const [kind, end] = kinds[n % kinds.length];
      // many addresses: a port of one is not free again for a minute
      let stream;
      const open = (path, how) => (stream = new Stream(url + path, { from: `127.0.1.${1 + n % 200}`, ...how }));
      const late = pause(60_000, undefined, { ref: false }).then(() => { throw new Error(`a connection that ${kind}: still open after a minute`); });
      await Promise.race([end(open), late]);
      assert.deepEqual(stream.faults, [], `a connection that ${kind}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Publishes to those who come and go; `stop` resolves to how many events it were. */
function publish({ url }) {
  let goes = true;
  const run = async () => {
    let number = 0;
    while (goes) {
      await ask(`${url}/events/busy`, { method: 'POST', body: `${++number} ${'x'.repeat(500)}` });
      await pause(5);
    }
    return number;
  };
  const done = run();
  done.catch(() => {});
  return { stop: () => { goes = false; return done; } };
}

function reset({ socket, over }) {
  socket.resetAndDestroy();
  return over;
}

function close({ socket, over }) {
  socket.destroy();
  return over;
}
