// A hub behind nginx and behind Apache, set up as docs/behind-a-proxy.md says: streams go through as if there were no proxy.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';
import { startProxy } from './lib/proxy.mjs';

const SILENT = ['--keep-alive', '1h']; // nothing pushes on what a proxy holds back
const LIVELY = ['--keep-alive', '1s'];
const LIMIT = { timeout: 180_000 };

for (const name of ['nginx', 'apache']) {
  test(`${name}: the beginning of a stream and each event come at once`, LIMIT, async (t) => {
    const hub = await serve(t, SILENT);
    const proxy = await startProxy(t, name, hub);
    const stream = await open(t, proxy, '/events/news', { 'accept-encoding': 'gzip, br, deflate' });
    assert.equal(stream.headers['content-type'], 'text/event-stream;charset=utf-8');
    assert.equal(stream.headers['content-encoding'], undefined);
    await stream.has(/^retry: \d+\nid: \S+\n\n$/);
    const ids = [];
    for (const data of ['one', 'two\nlines', '三']) {
      ids.push(await publish(hub, 'news', data));
      await stream.events(ids.length); // before the next is published
    }
    assert.deepEqual(stream.seen(), [[ids[0], 'one'], [ids[1], 'two\nlines'], [ids[2], '三']]);

    const back = await open(t, proxy, '/events/news', { 'last-event-id': ids[0] });
    await back.events(2);
    ids.push(await publish(hub, 'news', 'four'));
    await back.events(3);
    assert.deepEqual(back.seen(), [[ids[1], 'two\nlines'], [ids[2], '三'], [ids[3], 'four']], 'exactly what was missed');
  });

  test(`${name}: keep-alives come through, and a reader that leaves is gone for the hub`, LIMIT, async (t) => {
    const hub = await serve(t, LIVELY);
    const proxy = await startProxy(t, name, hub);
    const streams = [await open(t, proxy, '/events/news'), await open(t, proxy, '/events/*')];
    await subscribers(hub, 2);
    await Promise.all(streams.map((stream) => stream.has(/\n\n:\n(.*\n)*:\n/)));
    streams[0].leave();
    await subscribers(hub, 1);
    streams[1].leave();
    await subscribers(hub, 0);
  });

  test(`${name}: the hub restarts behind it`, LIMIT, async (t) => {
    const first = await serve(t, LIVELY);
    const proxy = await startProxy(t, name, first);
    const stream = await open(t, proxy, '/events/news');
    const id = await publish(first, 'news', 'before');
    await stream.events(1);
    await first.stop();
    await stream.over;
    assert.match(stream.text, /\n\n(:\n)*$/, 'ended between two events');
    assert.equal(await status(proxy, '/events/news'), name === 'nginx' ? 502 : 503);
    assert.equal(await status(proxy, '/events/news', { method: 'POST', body: 'x' }), name === 'nginx' ? 502 : 503);

    const second = await serve(t, LIVELY, new URL(first.url).host);
    const back = await open(t, proxy, '/events/news', { 'last-event-id': id });
    await back.has(/^event: oyez\.gap$/m);
    const after = await publish(second, 'news', 'after');
    await back.has(new RegExp(`^id: ${after}\ndata: after$`, 'm'));
  });

  test(`${name}: passes the public name on, which the hub has to know`, LIMIT, async (t) => {
    const hub = await serve(t, ['--demo', '--public-url', 'http://hub.example.com']);
    const proxy = await startProxy(t, name, hub);
    const stream = await open(t, proxy, '/clock', { host: 'hub.example.com' });
    await stream.events(1);
    assert.equal(await status(proxy, '/clock', { headers: { host: 'other.example.com' } }), 421);
    const unnamed = await serve(t, []);
    const front = await startProxy(t, name, unnamed);
    assert.equal(await status(front, '/events/news', { headers: { host: 'hub.example.com' } }), 421);
  });

  test(`${name}: with the public name hidden, programs on the machine publish and the proxy's callers do not`, LIMIT, async (t) => {
    const hub = await serve(t, SILENT);
    const proxy = await startProxy(t, name, hub, { hidden: true });
    const headers = { host: 'hub.example.com' };
    const stream = await open(t, proxy, '/events/news', headers);
    await publish(hub, 'news', 'from here');
    await stream.events(1);
    for (const method of ['POST', 'PUT']) assert.equal(await status(proxy, '/events/news', { method, headers, body: 'x' }), 403);
    assert.equal(stream.seen().length, 1);
  });
}

test('nginx: a reader that leaves is gone for the hub at once, though nothing is sent to it', LIMIT, async (t) => {
  const hub = await serve(t, SILENT);
  const stream = await open(t, await startProxy(t, 'nginx', hub), '/events/news');
  await subscribers(hub, 1);
  stream.leave();
  await subscribers(hub, 0);
});

test('nginx: an EventSource lives through the absence of the hub', LIMIT, async (t) => {
  const first = await serve(t, LIVELY);
  const proxy = await startProxy(t, 'nginx', first);
  const reader = eventSource(t, `${proxy.url}/events/news`);
  await reader.has(/^open: /m);
  await publish(first, 'news', 'before'); // an id to come back with: this package takes it from an event only
  await reader.has(/"before"$/m);
  await first.stop();
  await reader.has(/(^reconnecting: .*\n(open: .*\n)?){2}/m); // the end of the stream, then at least once to no avail
  const second = await serve(t, LIVELY, new URL(first.url).host);
  await reader.has(/^gap: /m);
  await publish(second, 'news', 'again');
  await reader.has(/"again"$/m);
  assert.doesNotMatch(reader.text, /^closed: /m);
});

function serve(t, flags, listen = '127.0.0.1:0') {
  return startServer([oyezBinary(), 'serve', '--listen', listen, '--admin', '127.0.0.1:0', ...flags], { t });
}

/** Past the proxy, as a program on the same machine. */
async function publish({ url }, topic, data) {
  const answer = await fetch(`${url}/events/${topic}`, { method: 'POST', body: data });
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()).id;
}

/** The status of an answer, without the rest. */
function status({ url }, path, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const asked = request(url + path, { method, headers, agent: false }, (response) => {
      resolve(response.statusCode);
      response.destroy();
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

/** Waits until the hub counts so many. */
async function subscribers({ admin }, number) {
  let counted;
  for (const end = performance.now() + 60_000; counted !== number; await pause(20)) {
    if (performance.now() > end) assert.equal(counted, number, 'subscribers');
    const page = await (await fetch(`${admin}/metrics`)).text();
    counted = Number(page.match(/^oyez_subscribers (\d+)$/m)[1]);
  }
}

/** Text that grows. */
class Growing {
  text = '';
  #looks = new Set();

  add(text) {
    this.text += text;
    for (const look of [...this.#looks]) look();
  }

  /** Waits until the text matches, or the condition holds. */
  has(condition) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not met: ${condition}; got:\n${this.text}`)), 60_000);
      const look = () => {
        if (!(condition instanceof RegExp ? condition.test(this.text) : condition())) return;
        clearTimeout(timer);
        this.#looks.delete(look);
        resolve();
      };
      this.#looks.add(look);
      look();
    });
  }
}

/** A stream whose head has come. */
function open(t, { url }, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no head came')), 60_000);
    const asked = request(url + path, { agent: false, headers }, (response) => {
      clearTimeout(timer);
      if (response.statusCode === 200) resolve(new Stream(response));
      else reject(new Error(`status ${response.statusCode}`));
    });
    t.after(() => asked.destroy());
    asked.on('error', reject);
    asked.end();
  });
}

class Stream extends Growing {
  constructor(response) {
    super();
    this.headers = response.headers;
    this.leave = () => response.destroy();
    response.setEncoding('utf8').on('data', (text) => this.add(text)).on('error', () => {});
    this.over = new Promise((resolve) => { response.on('close', resolve); });
  }

  /** Id and data of each whole event so far. */
  seen() {
    const blocks = this.text.split('\n\n').slice(0, -1).filter((block) => /^data: /m.test(block));
    return blocks.map((block) => [block.match(/^id: (.*)$/m)[1], block.match(/(?<=^data: ).*$/gm).join('\n')]);
  }

  events(number) {
    return this.has(() => this.seen().length >= number);
  }
}

/** npm's EventSource, which gives up on every status but 200 as browsers do. */
function eventSource(t, url) {
  const client = fileURLToPath(new URL('../../clients/node-examples/basic.mjs', import.meta.url));
  const child = spawn(process.execPath, [client, url], { stdio: ['ignore', 'pipe', 'inherit'] });
  const output = new Growing();
  child.stdout.setEncoding('utf8').on('data', (text) => output.add(text));
  t.after(() => child.kill('SIGKILL'));
  return output;
}
