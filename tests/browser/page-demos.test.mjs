// The demos, each of which is a reader and a publisher like anybody's.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './lib/chromium.mjs';
import { button, copied, isState, open, post, region, serve, until } from './lib/page.mjs';
import { startServer } from './lib/server.mjs';

let browser;
let server;
before(async () => {
  browser = await launch();
  server = await startServer(serve({ more: ['--demo'] }));
});
after(async () => {
  await server?.kill();
  await browser?.close();
});

const tab = (page, name) => page.getByRole('tab', { name, exact: true });
const panel = (page, name) => page.getByRole('tabpanel', { name, exact: true });

test('arrow keys, Home and End go through the tabs, and one panel is shown', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    await tab(page, 'Clock').focus();
    for (const [key, name] of [['ArrowRight', 'Stock'], ['ArrowRight', 'Progress'], ['End', 'Chat'], ['ArrowRight', 'Clock'], ['ArrowLeft', 'Chat'], ['Home', 'Clock']]) {
      await page.keyboard.press(key);
      assert.equal(await page.evaluate(() => document.activeElement.textContent), name, key);
      assert.equal(await tab(page, name).getAttribute('aria-selected'), 'true');
      assert.equal(await page.getByRole('tab', { selected: true }).count(), 1);
      assert.equal(await page.getByRole('tabpanel').count(), 1);
      assert.ok(await panel(page, name).isVisible());
    }
    await page.keyboard.press('Tab'); // one stop for all tabs, then the panel
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'tabpanel');
  }, { browser });
});

test('a demo takes a connection only while it is shown', async () => {
  await withPage(async (page) => {
    const streams = new Set();
    page.on('request', (request) => { if (/\/(clock|stock)/.test(request.url())) streams.add(request); });
    const gone = (request) => streams.delete(request);
    page.on('requestfailed', gone).on('requestfinished', gone);
    await page.setViewportSize({ width: 1280, height: 500 });
    await open(page, '?topic=x', server);
    assert.equal(streams.size, 0);
    await tab(page, 'Clock').scrollIntoViewIfNeeded();
    await panel(page, 'Clock').scrollIntoViewIfNeeded();
    await until(() => streams.size, (size) => size === 1);
    await tab(page, 'Stock').click();
    await until(() => [...streams].map((request) => new URL(request.url()).pathname), (paths) => `${paths}` === '/stock');
    await tab(page, 'Progress').click();
    await until(() => streams.size, (size) => size === 0);
  }, { browser });
});

test('the clock shows each second that the hub says', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    await tab(page, 'Clock').click();
    const shown = () => panel(page, 'Clock').locator('.big').textContent();
    const first = await until(shown, (time) => /^\d\d:\d\d:\d\d$/.test(time));
    await until(shown, (time) => time !== first);
    await panel(page, 'Clock').getByText(/The event says \d{4}-.+Z\./).waitFor();
  }, { browser });
});

test('stock has a line and a row for each share, with the direction as a sign', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    await tab(page, 'Stock').click();
    const rows = panel(page, 'Stock').getByRole('table').getByRole('row');
    const texts = await until(() => rows.allTextContents(), (all) => all.length === 5);
    for (const [index, symbol] of ['BELL', 'CRYR', 'OYEZ', 'TOWN'].entries()) assert.match(texts[index + 1], new RegExp(`^${symbol}\\d+\\.\\d\\d(▲ \\+|▼ −|■ )\\d+\\.\\d\\d$`));
    const chart = panel(page, 'Stock').getByRole('img', { name: /^Prices of four shares/ });
    assert.deepEqual(await chart.locator('g text').allTextContents(), ['BELL', 'CRYR', 'OYEZ', 'TOWN']);
    // In one evaluation: each event draws the lines anew, and lines that left the page have no computed style.
    const dashes = await chart.evaluate((drawn) => [...drawn.querySelectorAll('g path')].map((path) => getComputedStyle(path).strokeDasharray));
    assert.equal(new Set(dashes).size, 4, 'lines differ without colour too');
  }, { browser });
});

test('the progress of a job survives a reload', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    await tab(page, 'Progress').click();
    await panel(page, 'Progress').getByText('no job yet', { exact: true }).waitFor();
    await button(page, 'Start a job').click();
    const bar = page.getByRole('progressbar', { name: 'Progress of the job' });
    const value = () => bar.evaluate((one) => one.value);
    const before = await until(value, (done) => done >= 3);
    await page.reload();
    await tab(page, 'Progress').click();
    const after = await until(value, (done) => done > 0);
    assert.ok(after >= before, `${before} before the reload, ${after} after it`);
    await until(value, (done) => done > after);
    await panel(page, 'Progress').getByText(/^\d+ %: step \d+ of 40$/).waitFor();
  }, { browser });
});

test('a job that others publish is shown to its end', async () => {
  await withPage(async (page) => {
    await page.addInitScript(() => sessionStorage.setItem('oyez-job', 'known'));
    for (const done of [1, 39, 40]) await post(server, 'demo/progress/known', JSON.stringify({ done, of: 40 }));
    await open(page, '?topic=x', server);
    await tab(page, 'Progress').click();
    await panel(page, 'Progress').getByText('done: 100 %', { exact: true }).waitFor();
  }, { browser });
});

test('two pages chat, a room shows what was said before, and text stays text', async () => {
  await withPage(async (page) => {
    const says = async (one, name, words) => {
      await panel(one, 'Chat').getByLabel('Name').fill(name);
      await panel(one, 'Chat').getByLabel('Say').fill(words);
      await panel(one, 'Chat').getByLabel('Say').press('Enter');
      await until(() => panel(one, 'Chat').getByLabel('Say').inputValue(), (left) => left === '');
    };
    const log = (one) => one.getByRole('log', { name: 'Messages' }).getByRole('listitem').allTextContents();
    await open(page, '?topic=x', server);
    await tab(page, 'Chat').click();
    await says(page, 'Ada', 'hello <b>you</b>');
    const other = await page.context().newPage();
    await open(other, '?topic=x', server);
    await tab(other, 'Chat').click();
    assert.deepEqual(await until(() => log(other), (all) => all.length), ['Adahello <b>you</b>']);
    await says(other, 'Grace', 'good day');
    assert.deepEqual(await until(() => log(page), (all) => all.length > 1), ['Adahello <b>you</b>', 'Gracegood day']);

    await panel(page, 'Chat').getByLabel('Room').selectOption('kitchen');
    await says(page, 'Ada', 'nobody here');
    assert.deepEqual(await until(() => log(page), (all) => all.length), ['Adanobody here']);
    await post(server, 'demo/chat/kitchen', 'by hand');
    assert.deepEqual(await until(() => log(page), (all) => all.length > 1), ['Adanobody here', 'somebodyby hand']);
    assert.deepEqual(await log(other), ['Adahello <b>you</b>', 'Gracegood day']);
  }, { browser });
});

test('each tab has its source, which runs', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    for (const name of ['clock', 'stock', 'progress', 'chat']) {
      await tab(page, name[0].toUpperCase() + name.slice(1)).click();
      const source = await copied(page, `Copy the script of ${name}`);
      assert.match(source, /new EventSource\(/);
      const url = source.match(/'(http:[^']+)'/)[1];
      assert.ok(url.startsWith(server.url), url);
      await page.evaluate((script) => { Function('output', 'chart', 'bar', 'log', 'form', script); }, source); // compiles
    }
    const time = await page.evaluate((script) => new Promise((resolve) => {
      const output = { set textContent(text) { resolve(text); } };
      Function('output', script)(output);
    }), await page.locator('#clock-code').textContent());
    assert.match(time, /\d:\d\d:\d\d/);
  }, { browser });
});

test('without the demo its tabs say so, with the command that starts it', async () => {
  const plain = await startServer(serve());
  try {
    await withPage(async (page) => {
      await open(page, '?topic=x', plain);
      for (const name of ['Stock', 'Clock']) {
        await tab(page, name).click();
        await panel(page, name).getByText('This hub runs without the demo topics. Start it with: oyez serve --demo', { exact: true }).waitFor();
      }
      await tab(page, 'Chat').click();
      assert.equal(await panel(page, 'Chat').getByText('without the demo').count(), 0);
      await isState(page, 'live');
    }, { browser });
  } finally {
    await plain.kill();
  }
});

test('the tiles, their curves and the table of subscribers follow the hub', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=stock*&topic=clock', server); // the hub lists exact names first
    const now = region(page, 'Right now');
    for (const name of ['Subscribers', 'Events in, per second', 'Frames out, per second']) {
      await now.getByRole('img', { name: new RegExp(`^${name}, last two minutes: now [1-9]`) }).waitFor();
    }
    const curve = now.getByRole('img', { name: /^Events in/ }).locator('path').last();
    const before = await curve.getAttribute('d');
    await until(() => curve.getAttribute('d'), (after) => after !== before);
    await now.getByText(/^Up \d+ (s|min) · [\d,]+ events published · the history holds [\d,]+ events? \(.+, \d+ topics\), from \S+ to \S+ · 0 gaps announced · 0 refused$/).waitFor();
    await page.getByRole('banner').getByText(/^\d+\.\d+\.\d+$/).waitFor();

    const mine = page.getByRole('row', { name: /this page/ });
    await mine.waitFor();
    const cells = await mine.getByRole('cell').allTextContents();
    assert.equal(cells[0], 'clock, stock*');
    assert.match(cells[1], /^127\.0\.0\.1:\d+$/);
    const headers = await region(page, 'Subscribers').getByRole('columnheader').allTextContents();
    assert.deepEqual(headers, ['Stream', 'Topics', 'Peer', 'Open for', 'Position', 'Delivered', 'Lag', 'State']);
    const stranger = new AbortController();
    await fetch(`${server.url}/events/stranger`, { signal: stranger.signal });
    const row = page.getByRole('row', { name: /stranger/ });
    await row.waitFor();
    assert.equal(await row.getByText('this page').filter({ visible: true }).count(), 0);
    stranger.abort();
    await row.waitFor({ state: 'detached' });
  }, { browser });
});
