// The page at `/`, used as a person uses it: by fields, keys and what can be read on it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch, withPage } from './lib/chromium.mjs';
import { oyezBinary, startServer } from './lib/server.mjs';

const POLICY = /^default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/;
const REFUSED = [/status of 4\d\d/]; // Chromium logs each answer of that kind, whatever the page makes of it
const CUT = [/ERR_CONNECTION_REFUSED/, /ERR_INCOMPLETE_CHUNKED_ENCODING/, /ERR_CONNECTION_RESET/, /ERR_EMPTY_RESPONSE/];

let browser;
let server;
before(async () => {
  browser = await launch();
  server = await startServer(serve('127.0.0.1:0'));
});
after(async () => {
  await server?.kill();
  await browser?.close();
});

test('the page is one file under a policy that lets only its own script and style run', async () => {
  const requests = [];
  await withPage(async (page) => {
    page.on('request', (request) => requests.push(new URL(request.url()).pathname));
    const answer = await page.goto(server.url);
    assert.match(answer.headers()['content-security-policy'], POLICY);
    assert.match(answer.headers()['content-type'], /^text\/html/);
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await isState(page, 'live');
    assert.deepEqual(requests, ['/', '/events']);
  }, { browser });
});

test('what is published with Ctrl+Enter is shown, as text', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=shown');
    const data = 'héllo, 你好\n<b>bold</b> <img src=x onerror=alert(1)>\n\n  end ';
    const id = await publish(page, { topic: 'shown', data });
    const row = rowOf(page, id);
    assert.equal(await row.locator('pre').textContent(), data);
    assert.equal(await row.locator('.type').textContent(), 'message');
    assert.match(await row.locator('time').textContent(), /^\d\d:\d\d:\d\d\.\d{3}$/);
    assert.equal(await page.locator('#list b, #list img').count(), 0);
    assert.equal(await page.textContent('#count'), '1 received');
  }, { browser });
});

test('every type that the page publishes or was asked for is shown, even open and error', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=typed&type=asked');
    for (const type of ['order', 'open', 'error', 'message']) {
      const id = await publish(page, { topic: 'typed', type, data: type });
      assert.equal(await rowOf(page, id).locator('.type').textContent(), type);
    }
    const { id } = await post('typed?event=asked', 'from elsewhere');
    assert.equal(await rowOf(page, id).locator('.type').textContent(), 'asked');
    await isState(page, 'live');
  }, { browser });
});

test('a refused publish says why', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x');
    await fill(page, { topic: 'a*b', data: 'x' });
    await page.click('#publish button.main');
    const answer = page.locator('#answer.bad');
    await answer.waitFor();
    assert.match(await answer.textContent(), /^refused: .*a\*b.* \(400\)$/);
    await fill(page, { topic: 'x', type: 'oyez.gap', data: '{}' });
    await page.click('#publish button.main');
    await page.locator('#answer.bad', { hasText: 'oyez.gap' }).waitFor();
    assert.equal(await page.locator('#list li').count(), 0);
  }, { browser, expected: REFUSED });
});

test('a refused subscription is closed and says why', async () => {
  await withPage(async (page) => {
    await page.goto(`${server.url}/?topic=${'x'.repeat(5_000)}`);
    await isState(page, 'closed');
    assert.match(await page.textContent('#why'), /.+ \(4\d\d\)$/);
    await page.fill('#topics', 'fine');
    await page.click('#subscribe button.main');
    await isState(page, 'live');
    assert.equal(await page.textContent('#why'), '');
  }, { browser, expected: REFUSED });
});

test('the curl lines do what the page does, whatever is in the fields', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=*');
    const cases = [
      { topic: 'plain', data: 'hello' },
      { topic: "it's/a b?c&d#e%2F", type: "t'y pe", data: 'it\'s "$HOME" `id` \\n !x 你好\ntwo lines' },
      { topic: 'at', data: '@/etc/hostname' },
      { topic: 'empty', data: '' },
      { topic: '/odd//../topic/', data: 'as JSON', type: 'order' },
    ];
    for (const wanted of cases) {
      const pageId = await publish(page, wanted);
      const { id } = JSON.parse(await shell(await page.textContent('#curl-publish')));
      const [ours, theirs] = [rowOf(page, pageId), rowOf(page, id)];
      assert.equal(await theirs.locator('pre').textContent(), wanted.data || '(empty)');
      assert.equal(await theirs.locator('pre').textContent(), await ours.locator('pre').textContent());
      assert.equal(await theirs.locator('.type').textContent(), wanted.type ?? 'message');

      await page.fill('#topics', wanted.topic); // and the one to subscribe: both of it are in the history
      await page.fill('#since', 'earliest');
      const line = await page.textContent('#curl-subscribe');
      const stream = await shell(line.replace('?', '?limit=2&'));
      assert.match(stream, new RegExp(`^id: ?${pageId}$`, 'm'), line);
      assert.match(stream, new RegExp(`^id: ?${id}$`, 'm'), line);
    }
  }, { browser });
});

test('unsubscribing ends the stream, and subscribing anew begins where it was told to', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=again');
    await publish(page, { topic: 'again', data: 'one' });
    await page.click('#unsubscribe');
    await isState(page, 'closed');
    assert.ok(await page.locator('#unsubscribe').isDisabled());
    await publish(page, { topic: 'again', data: 'two' }, { shown: false });
    await page.click('#clear');
    await page.fill('#since', 'earliest');
    await page.click('#subscribe button.main');
    await page.locator('#list pre', { hasText: 'two' }).waitFor();
    assert.deepEqual(await page.locator('#list pre').allTextContents(), ['two', 'one']);

    await page.reload(); // the address holds what was asked for
    await page.locator('#list pre', { hasText: 'two' }).waitFor();
    assert.deepEqual(await page.locator('#list pre').allTextContents(), ['two', 'one']);
    assert.equal(await page.inputValue('#topics'), 'again');
  }, { browser });
});

test('the list is capped, newest on top', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=many');
    const batch = Array.from({ length: 700 }, (_, number) => JSON.stringify({ topics: 'many', data: `event ${number}` })).join('\n');
    const answer = await fetch(`${server.url}/events`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: batch });
    assert.equal(answer.status, 200, await answer.text());
    await page.locator('#count', { hasText: '700 received, the newest 200 shown' }).waitFor();
    const rows = page.locator('#list pre');
    await rows.first().filter({ hasText: 'event 699' }).waitFor();
    assert.equal(await rows.count(), 200);
    assert.equal(await rows.last().textContent(), 'event 500');
  }, { browser });
});

test('a hub that was killed and restarted: the page comes back by itself and tells the gap', async () => {
  const first = await startServer(serve('127.0.0.1:0'));
  let second;
  try {
    await withPage(async (page) => {
      await open(page, '?topic=news', first);
      const id = await publish(page, { topic: 'news', data: 'before' });
      await first.kill();
      await isState(page, 'reconnecting');
      await page.locator('#list .note', { hasText: `connection lost after ${id}` }).waitFor();

      second = await startServer(serve(new URL(first.url).host));
      await isState(page, 'live');
      await page.locator('#list .note', { hasText: /back after \d+\.\d s, resumed after/ }).waitFor();
      await page.locator('#list .gap', { hasText: `gap: events after ${id} may be missing: the hub has begun a new log` }).waitFor();
      await publish(page, { topic: 'news', data: 'after' });
      assert.deepEqual(await page.locator('#list pre').allTextContents(), ['after', 'before']);
      assert.equal(await page.locator('#list .note').count(), 3, 'lost, back and gap are told once each');
    }, { browser, expected: CUT });
  } finally {
    await first.kill();
    await second?.kill();
  }
});

test('the page fits from 360 px up, light and dark, and every control is reached by keyboard', async () => {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 360]) {
      await withPage(async (page) => {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 760 });
        await open(page, '?topic=narrow');
        await publish(page, { topic: 'narrow', data: `${'x'.repeat(500)} ${'{"key":"value"},'.repeat(30)}` });
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `${colorScheme}, ${width} px`);
        assert.ok(await page.evaluate(CONTRAST) >= 4.5, 'contrast of text');
        const controls = await page.locator('input, textarea, summary, button:enabled').evaluateAll((all) => all.filter((one) => one.checkVisibility()).length);
        assert.equal((await tabbed(page)).size, controls);
      }, { browser });
    }
  }
});

function serve(listen) {
  return [oyezBinary(), 'serve', '--listen', listen, '--admin', '127.0.0.1:0'];
}

async function open(page, query, { url } = server) {
  await page.goto(`${url}/${query}`);
  await isState(page, 'live');
}

function isState(page, word) {
  return page.locator(`#state.${word}`, { hasText: word }).waitFor();
}

async function fill(page, { topic, type = '', data }) {
  await page.fill('#topic', topic);
  await page.fill('#type', type);
  await page.fill('#data', data);
}

/** By Ctrl+Enter; resolves to the id, once the event is in the list. */
async function publish(page, wanted, { shown = true } = {}) {
  await fill(page, wanted);
  await page.evaluate(() => { document.getElementById('answer').textContent = ''; });
  await page.press('#data', 'Control+Enter');
  const answer = page.locator('#answer', { hasText: /^(published as|refused|the hub)/ });
  await answer.waitFor();
  const text = await answer.textContent();
  const id = text.match(/^published as (\S+) in \d+ ms$/)?.[1];
  assert.ok(id, text);
  if (shown) await rowOf(page, id).waitFor();
  return id;
}

function rowOf(page, id) {
  return page.locator('#list li', { has: page.locator('.id', { hasText: new RegExp(`^${id}$`) }) });
}

async function post(path, body) {
  const answer = await fetch(`${server.url}/events/${path}`, { method: 'POST', body });
  assert.equal(answer.status, 200);
  return answer.json();
}

async function shell(line) {
  return (await promisify(execFile)('bash', ['-c', line], { timeout: 20_000 })).stdout;
}

/** What the focus visits, until it comes round. */
async function tabbed(page) {
  const seen = new Set();
  await page.evaluate(() => document.activeElement?.blur());
  for (let step = 0; step < 60; step++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const one = document.activeElement;
      return one.matches('input, textarea, summary, button') ? [...document.querySelectorAll('*')].indexOf(one) : -1;
    });
    if (seen.has(at)) break;
    if (at >= 0) seen.add(at);
  }
  return seen;
}

/** The lowest contrast of any text on its background (WCAG 2, relative luminance). */
const CONTRAST = () => {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = parse(color).map((value) => value / 255).map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parse(color)[3] !== 0) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const ratios = [...document.body.querySelectorAll('*')]
    .filter((one) => one.checkVisibility() && !one.disabled && [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
    .map((one) => {
      const [low, high] = [luminance(getComputedStyle(one).color), luminance(ground(one))].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    });
  return Math.min(...ratios);
};
