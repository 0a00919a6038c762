// The binary that ./build-static makes: one file without a library of the system, which serves, publishes, subscribes, looks names up and
// speaks TLS. OYEZ_BIN names it.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';

const SERVE = [oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];

/** Runs `oyez` with these arguments to its end, past any proxy; what it printed, or an error with what it said. */
async function oyez(...args) {
  const env = { ...process.env, NO_PROXY: '*' };
  const { stdout } = await promisify(execFile)(oyezBinary(), args, { env, timeout: 60_000 });
  return stdout;
}

/** The same URL by name instead of by address. */
const byName = (url) => url.replace('127.0.0.1', 'localhost');

test('it needs no library of the system', () => {
  // the first where it has a fixed address, with a status of 1
  const { stdout, stderr } = spawnSync('ldd', [oyezBinary()], { encoding: 'utf8' });
  assert.match(stdout + stderr, /not a dynamic executable|statically linked/);
});

test('it serves, publishes and subscribes, and finds localhost by its name', async (t) => {
  const hub = await startServer(SERVE, { t });
  const url = byName(hub.url);
  const id = (await oyez('pub', `${url}/events/news`, 'hello')).trim();
  const events = (await oyez('sub', '--json', '--max-events', '1', '--since', 'earliest', `${url}/events/news`)).trim().split('\n').map(JSON.parse);
  const { type, data, id: read } = events.find(({ kind }) => kind === 'event');
  assert.deepEqual({ type, data, id: read }, { type: 'message', data: 'hello', id });
  assert.deepEqual(await hub.stop(), { code: 0, signal: null });
});

test('a name that there is not is told', async () => {
  const refused = await oyez('pub', 'http://no-such-host.invalid/events/news', 'hello').catch((error) => error);
  assert.equal(refused.code, 1, refused.stderr);
  assert.match(refused.stderr, /^oyez: cannot connect to no-such-host\.invalid:80: /);
});

test('it speaks TLS', async (t) => {
  const hub = await startServer(SERVE, { t });
  // the hub does not, and the client has come as far as finding out
  const refused = await oyez('pub', `${byName(hub.url).replace('http:', 'https:')}/events/news`, 'hello').catch((error) => error);
  assert.equal(refused.code, 1, refused.stderr);
  assert.match(refused.stderr, /no TLS is spoken there; for plain HTTP say http:\/\//);
});
