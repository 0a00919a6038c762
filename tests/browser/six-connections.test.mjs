// What docs/six-connections.md says of browsers: six HTTP/1.1 connections to one origin, and a subdomain for the events as a cure.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { launch, withPage } from './lib/chromium.mjs';
import { oyezBinary, startServer } from './lib/server.mjs';

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });

test('with six streams open the seventh waits, and so does every other request to that origin', async (t) => {
  const hub = await startHub(t);
  await withPage(async (page) => {
    await page.goto(`${hub.url}/healthz`); // any document of the origin that opens no stream itself
    assert.deepEqual(await openStreams(page, `${hub.url}/events/news`, 7), { open: 6, waiting: 1 });
    assert.equal(await answers(page, `${hub.url}/stats`, 1_500), 'waits');
    await page.evaluate(() => globalThis.streams.pop().close()); // the one that waits
    await page.evaluate(() => globalThis.streams.pop().close());
    assert.equal(await answers(page, `${hub.url}/stats`), 200);
  }, { browser, expected: [/404/] });
});

test('streams of a subdomain for events leave the page its own connections, and resume across origins', async (t) => {
  const app = await startApp(t);
  const hub = await startHub(t, '--cors', app.origin);
  const events = hub.url.replace('127.0.0.1', 'events.localhost');
  await withPage(async (page) => {
    await page.goto(app.origin);
    assert.deepEqual(await openStreams(page, `${events}/events/news`, 6), { open: 6, waiting: 0 });
    assert.equal(await answers(page, `${app.origin}/api`), 200, 'the app is another origin');

    // each stream ends behind one event; the reconnection is preflighted, because it carries a last event id
    await page.evaluate(() => globalThis.streams.splice(0).forEach((stream) => stream.close()));
    const got = page.evaluate((url) => new Promise((resolve) => {
      const data = [];
      const source = new EventSource(url);
      source.onmessage = (event) => {
        data.push(event.data);
        if (data.length === 3) source.close(), resolve(data);
      };
    }), `${events}/events/resumed?since=earliest&limit=1`);
    for (const data of ['1', '2', '3']) {
      const answer = await fetch(`${hub.url}/events/resumed?retry=100`, { method: 'POST', body: data });
      assert.equal(answer.status, 200);
    }
    assert.deepEqual(await got, ['1', '2', '3']);
  }, { browser });
});

test('an origin that is not allowed gets no event, and the page is told so by an error', async (t) => {
  const app = await startApp(t);
  const hub = await startHub(t, '--cors', 'https://app.example.com');
  await withPage(async (page) => {
    await page.goto(app.origin);
    const state = await page.evaluate((url) => new Promise((resolve) => {
      const source = new EventSource(url);
      source.onopen = () => resolve('open');
      source.onerror = () => resolve(source.readyState);
    }), `${hub.url}/events/news`);
    assert.equal(state, 2, 'closed for good');
  }, { browser, expected: [/CORS policy/, /ERR_FAILED/] });
});

function startHub(t, ...flags) {
  return startServer([oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', ...flags], { t });
}

/** The app beside the hub: a page, and an answer for it to fetch. */
async function startApp(t) {
  const server = createServer((request, response) => {
    response.setHeader('content-type', request.url === '/api' ? 'text/plain' : 'text/html');
    response.end(request.url === '/api' ? 'ok' : '<!doctype html><link rel="icon" href="data:,"><title>app</title>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => {
    server.closeAllConnections();
    server.close(resolve);
  }));
  return { origin: `http://app.localhost:${server.address().port}` };
}

/** Opens `number` streams and tells how many are open once all that can be are. */
async function openStreams(page, url, number) {
  await page.evaluate(([url, number]) => {
    globalThis.streams = Array.from({ length: number }, () => new EventSource(url));
  }, [url, number]);
  const count = () => page.evaluate(() => globalThis.streams.filter((stream) => stream.readyState === EventSource.OPEN).length);
  await page.waitForFunction((most) => globalThis.streams.filter((stream) => stream.readyState === EventSource.OPEN).length >= most,
    Math.min(number, 6));
  const open = await count();
  return { open, waiting: number - open };
}

/** The status of an answer, or that there is none `within` so many milliseconds. */
function answers(page, url, within = 20_000) {
  return page.evaluate(async ([url, within]) => {
    const signal = AbortSignal.timeout(within);
    return fetch(url, { signal }).then((answer) => answer.status, (error) => (error.name === 'TimeoutError' ? 'waits' : String(error)));
  }, [url, within]);
}
