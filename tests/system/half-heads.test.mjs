// Connections that send half of a request's head, thousands of them: they cost little, all together no more than a bound, and harm
// nobody.
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';
import { resident, descriptors, steadyDescriptors, until } from './lib/process.mjs';
import { ask, Stream } from './lib/stream.mjs';

const MIB = 1 << 20;
const HALF = 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: slow\r\naccept: text/';
const REST = 'event-stream\r\nconnection: close\r\n\r\n';

// the short form has all of them open before the first has had its ten seconds on any machine
const NUMBER = process.env.OYEZ_TEST_LONG === '1' ? 5_000 : 1_000;
const EACH = 32 * MIB / 5_000;

test(`${NUMBER} connections with half a head take no more than is 32 MiB for 5,000, and others notice nothing`, { timeout: 120_000 }, async (t) => {
  const server = await startServer([oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { t });
  const url = `${server.url}/events/a`;
  const stream = new Stream(url);
  await stream.opened;
  await ask(url, { method: 'POST', body: '1 ' });
  const [baseline, memory] = [await steadyDescriptors(server.pid), await resident(server.pid)];

  const kinds = {
    'half a head': [HALF],
    'one byte': ['G'],
    'empty lines and half a head': ['\r\n\r\n', HALF],
    'half a head in pieces': [HALF.slice(0, 9), HALF.slice(9, 50), HALF.slice(50)],
  };
  const halves = [];
  t.after(() => halves.forEach((half) => half.socket.destroy()));
  while (halves.length < NUMBER) {
    halves.push(new Half(server.admin, Object.values(kinds)[halves.length % 4]));
    // more at once than the kernel has places for would come a second or three later
    if (halves.length % 100 === 0) await Promise.all(halves.slice(-100).map((half) => half.sent));
  }
  const most = await until(async () => await descriptors(server.pid) >= baseline + NUMBER, { what: 'all are there', within: 60, look: () => descriptors(server.pid) });
  const grown = await resident(server.pid) - memory;
  t.diagnostic(`all there after ${most.seconds.toFixed(1)} s; ${(grown / MIB).toFixed(1)} MiB more, ${(grown / NUMBER / 1024).toFixed(1)} KiB each`);
  assert.ok(grown <= NUMBER * EACH, `${grown} bytes more`);

  await ask(url, { method: 'POST', body: '2 ' });
  await until(() => stream.last === 2, { what: 'others get what is published', within: 60 });
  assert.ok(stream.hasAll(1, 2), JSON.stringify(stream.summary));

  // whoever sends the rest in time is answered
  const last = halves.filter((_, n) => n % 4 !== 1).slice(-20);
  for (const half of last) half.socket.write(REST);
  for (const half of last) {
    await half.over;
    assert.match(half.text, /^HTTP\/1\.1 200 [^]*ok\n$/);
  }
  await Promise.all(halves.map((half) => half.over));
  for (const half of halves.filter((half) => !last.includes(half))) assert.equal(half.text, '');
  await until(async () => await descriptors(server.pid) <= baseline, { what: 'the others are gone', within: 60, look: () => descriptors(server.pid) });
});

test('of more half heads than there is room for the oldest are closed', { timeout: 120_000 }, async (t) => {
  const server = await startServer([oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { t });
  const memory = await resident(server.pid);
  // each nearly as long as a head may be: 32 MiB, and there is room for half of them
  const half = `${HALF}${'x'.repeat(15_000)}`;
  const [first, ...others] = Array.from({ length: 2_000 }, () => new Half(server.url, [half]));
  t.after(() => [first, ...others].forEach(({ socket }) => socket.destroy()));
  await first.over;
  await server.says(/too many half heads/);
  const grown = await resident(server.pid) - memory;
  t.diagnostic(`${(grown / MIB).toFixed(1)} MiB more`);
  assert.ok(grown <= 32 * MIB, `${grown} bytes more`);
  const last = new Half(server.admin, [HALF]);
  await last.sent;
  last.socket.write(REST);
  await last.over;
  assert.match(last.text, /^HTTP\/1\.1 200 /);
});

/** A connection that sends these pieces, one after the other. */
class Half {
  text = '';

  constructor(url, pieces) {
    const { hostname, port } = new URL(url);
    this.socket = new Socket({ noDelay: true }).setEncoding('latin1');
    this.socket.on('data', (text) => { this.text += text; }).on('error', () => {});
    this.over = new Promise((resolve) => this.socket.once('close', resolve));
    const write = (piece) => new Promise((resolve) => this.socket.write(piece, () => setImmediate(resolve)));
    this.sent = new Promise((resolve) => this.socket.once('connect', resolve)).then(async () => {
      for (const piece of pieces) await write(piece);
    });
    this.socket.connect({ host: hostname, port });
  }
}
