// What holds for the whole page: one small file, its policy, both themes, narrow screens, keyboard, names for everything.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './lib/chromium.mjs';
import { button, isState, open, opened, publish, REFUSED, region, rowOf, serve, until } from './lib/page.mjs';
import { startServer } from './lib/server.mjs';

const POLICY = /^default-src 'none'; script-src 'sha256-[\w+/]{43}='; style-src 'sha256-[\w+/]{43}='; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/;
const PAGE_BYTES_MAX = 100_000;

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

test('the page is one small file under a policy that lets only its own script and style run', async () => {
  const requests = [];
  await withPage(async (page) => {
    page.on('request', (request) => requests.push(new URL(request.url()).pathname));
    const answer = await page.goto(server.url);
    assert.match(answer.headers()['content-security-policy'], POLICY);
    assert.match(answer.headers()['content-type'], /^text\/html/);
    const size = (await answer.body()).length;
    assert.ok(size <= PAGE_BYTES_MAX, `${size} bytes`);
    assert.equal(await page.getAttribute('html', 'lang'), 'en');
    await isState(page, 'live');
    await region(page, 'Right now').getByText(/^Up /).waitFor();
    await region(page, 'Topics').getByRole('listitem').first().waitFor();
    assert.deepEqual(requests.sort(), ['/', '/events', '/events', '/stats', '/stats'], 'one stream of events, the topics there are, and the figures');
  }, { browser });
});

test('the page has an icon of its own, which its policy allows', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    const icon = await page.locator('link[rel=icon]').getAttribute('href');
    assert.match(icon, /^data:image\/svg\+xml,/);
    const width = await page.evaluate(async (src) => {
      const picture = new Image();
      picture.src = src;
      await picture.decode();
      return picture.width;
    }, icon);
    assert.ok(width > 0);
  }, { browser });
});

test('the page leaves no name behind in the window', async () => {
  await withPage(async (page) => {
    await page.goto(`${server.url}/nowhere`); // the same origin has the same interfaces
    const before = await page.evaluate(() => Object.getOwnPropertyNames(window));
    await open(page, '?topic=x', server);
    const after = await page.evaluate(() => Object.getOwnPropertyNames(window).filter((name) => !/^\d+$/.test(name)));
    assert.deepEqual(after.filter((name) => !before.includes(name)), []);
  }, { browser, expected: REFUSED });
});

test('of two windows one holds the figures for both, and the other takes over', async () => {
  await withPage(async (page) => {
    const streams = new Set();
    const watchFigures = (one) => {
      one.on('request', (request) => { if (/\/stats\?rows=100$/.test(request.url())) streams.add(one); });
      one.on('close', () => streams.delete(one));
    };
    watchFigures(page);
    await open(page, '?topic=x', server);
    await until(() => streams.size, (size) => size === 1);
    const other = await page.context().newPage();
    watchFigures(other);
    await open(other, '?topic=x', server);
    const facts = () => region(other, 'Right now').getByText(/^Up /).textContent();
    const first = await facts();
    await until(facts, (now) => now !== first);
    assert.deepEqual([...streams], [page]);
    await page.close();
    await until(() => streams.has(other), Boolean);
    const second = await facts();
    await until(facts, (now) => now !== second);
    await other.evaluate(() => {}); // still there
    return other.close();
  }, { browser });
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 768, 360]) {
    test(`everything fits, is readable and is reached by keyboard: ${colorScheme}, ${width} px`, async () => {
      await withPage(async (page) => {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await page.setViewportSize({ width, height: 760 });
        await open(page, `?topic=narrow&topic=${'long/'.repeat(60)}name`, server);
        const data = `${'x'.repeat(500)} ${'{"key":"value"},'.repeat(30)}`;
        await publish(page, { topic: 'narrow, other', type: 'a-type-that-is-rather-long-for-a-column', id: 'i'.repeat(120), data });
        await opened(rowOf(page, 'i'.repeat(120)));
        await publish(page, { topic: 'narrow', data: '{"a":1,"b":[true,null]}' });
        await button(page, 'Drop my connection').click();
        await isState(page, 'reconnecting');
        await check(page, width, 'reconnecting');
        await isState(page, 'live');
        await button(page, 'Open 7 streams').click();
        await region(page, 'Open 7 streams').getByText(/ of 7 are open/).waitFor();
        for (const name of ['Stock', 'Progress', 'Chat', 'Clock']) {
          await page.getByRole('tab', { name }).click();
          await check(page, width, name);
        }
        const { missed, unmarked } = await tabbed(page);
        assert.deepEqual(missed, [], 'every control is reached');
        assert.deepEqual(unmarked, [], 'the focus is seen');
      }, { browser });
    });
  }
}

async function check(page, width, when) {
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `sideways, ${when}`);
  assert.deepEqual(await page.evaluate(CUT_OFF), [], `beyond the edge, ${when}`);
  const pale = await page.evaluate(PALE);
  assert.deepEqual(pale, [], `contrast, ${when}`);
}

test('everything that is used or read has a name, and structure is told', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=clock', server);
    await page.getByRole('tab', { name: 'Stock' }).click();
    await button(page, 'Open 7 streams').click();
    assert.deepEqual(await page.evaluate(NAMELESS), []);
    for (const landmark of ['banner', 'main']) assert.equal(await page.getByRole(landmark).count(), 1);
    const regions = ['Right now', 'Subscribe', 'Publish', 'Events', 'Topics', 'Subscribers', 'Break things', 'Demos'];
    for (const name of regions) assert.equal(await region(page, name).count(), 1, name);
    const headings = await page.locator('h1, h2, h3').evaluateAll((all) => all.map((one) => Number(one.tagName[1])));
    assert.equal(headings.filter((level) => level === 1).length, 1);
    headings.reduce((above, level) => { assert.ok(level <= above + 1, `${headings}`); return level; }, 0);
    const live = await page.getByRole('list', { name: 'Events, newest first' }).evaluate((one) => one.closest('[aria-live], [role=status], [role=log]'));
    assert.equal(live, null, 'events are not read out one by one');
    const lists = await page.locator('ol, ul').evaluateAll((all) => all.filter((one) => one.hasAttribute('role')).map((one) => one.id));
    assert.deepEqual(lists, [], 'a list stays a list, also inside of a log');
    await page.getByRole('tab', { name: 'Chat' }).click();
    assert.equal(await page.getByRole('log', { name: 'Messages' }).getByRole('list').count(), 1);
    for (const tab of await page.getByRole('tab').all()) {
      const panel = page.locator(`#${await tab.getAttribute('aria-controls')}`);
      assert.equal(await panel.getAttribute('aria-labelledby'), await tab.getAttribute('id'));
    }
  }, { browser });
});

test('states are told to a screen reader once, not each second', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    await page.evaluate(() => {
      window.told = 0;
      const live = document.querySelectorAll('[role=status], [role=log]');
      new MutationObserver((changes) => { window.told += changes.length; }).observe(document.body, { subtree: true, childList: true, characterData: true });
      window.inLive = [];
      for (const one of live) new MutationObserver(() => window.inLive.push(one.id)).observe(one, { subtree: true, childList: true, characterData: true });
    });
    const uptime = () => region(page, 'Right now').getByText(/^Up /).textContent();
    const first = await uptime();
    await until(uptime, (now) => now !== first);
    assert.ok(await page.evaluate(() => window.told) > 0, 'the figures have changed');
    assert.deepEqual(await page.evaluate(() => window.inLive), []);
  }, { browser });
});

/** Controls that the focus does not visit before it comes round, and those at which it is not seen. */
async function tabbed(page) {
  await page.evaluate(() => {
    const all = [...document.querySelectorAll('input, textarea, select, summary, button, [tabindex="0"]')];
    window.controls = new Map(all.filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0).map((one) => [one, 'missed']));
    document.activeElement?.blur();
    getSelection().removeAllRanges();
  });
  for (let step = 0; step < 150; step++) {
    await page.keyboard.press('Tab');
    const again = await page.evaluate(() => {
      const one = document.activeElement;
      const before = window.controls.get(one);
      const outlined = (each) => getComputedStyle(each).outlineStyle !== 'none' && parseFloat(getComputedStyle(each).outlineWidth) >= 1;
      if (before === 'missed') window.controls.set(one, outlined(one) || outlined(one.parentElement) ? 'seen' : 'unmarked');
      return before && before !== 'missed';
    });
    if (again) break;
  }
  const all = await page.evaluate(() => [...window.controls].filter(([one]) => one.isConnected && !one.disabled).map(([one, how]) => [how, one.id || one.textContent.slice(0, 40)]));
  return { missed: all.filter(([how]) => how === 'missed'), unmarked: all.filter(([how]) => how === 'unmarked') };
}

/** Texts that reach beyond the window, where nobody can scroll to. */
const CUT_OFF = () => [...document.body.querySelectorAll('*')]
  .filter((one) => one.checkVisibility() && !one.closest('.scroll, .unseen, pre') && [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()))
  .filter((one) => one.getBoundingClientRect().right > innerWidth)
  .map((one) => one.textContent.slice(0, 60));

/** Texts whose contrast with their background is below 4.5 (WCAG 2, relative luminance). */
const PALE = () => {
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
  const fields = [...document.querySelectorAll('input, textarea, select')].filter((one) => one.checkVisibility());
  const texts = [...document.body.querySelectorAll('*')]
    .filter((one) => one.checkVisibility({ opacityProperty: true }) && !one.closest(':disabled') && [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()));
  const contrast = (color, one) => {
    const [low, high] = [luminance(color), luminance(ground(one))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [...texts, ...fields].map((one) => [contrast(getComputedStyle(one).color, one), one.textContent || one.id]);
  for (const one of fields) if (one.placeholder) found.push([contrast(getComputedStyle(one, '::placeholder').color, one), one.placeholder]);
  return found.filter(([ratio]) => ratio < 4.5).map(([ratio, name]) => `${ratio.toFixed(2)}: ${name.slice(0, 60)}`);
};

/** Controls without a label, pictures without a text, tables without headers, ids given twice. */
const NAMELESS = () => {
  const missing = [];
  const named = (one) => one.getAttribute('aria-label') || one.getAttribute('aria-labelledby') || [...one.labels ?? []].some((label) => label.textContent.trim());
  for (const one of document.querySelectorAll('input, textarea, select, progress')) if (one.checkVisibility() && !named(one)) missing.push(`no label: ${one.outerHTML}`);
  for (const one of document.querySelectorAll('button')) if (!named(one) && !one.textContent.trim()) missing.push(`no words: ${one.outerHTML}`);
  for (const one of document.querySelectorAll('svg:not([aria-hidden])')) if (one.getAttribute('role') !== 'img' || !named(one)) missing.push('a picture without a text');
  for (const one of document.querySelectorAll('table')) if (!one.caption || !one.querySelector('th[scope=col]') || one.querySelector('thead th:not([scope=col])')) missing.push('a table without headers');
  for (const one of document.querySelectorAll('tbody tr')) if (!one.querySelector('th[scope=row]')) missing.push('a row without a header');
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) missing.push(`twice: ${id}`);
  for (const name of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for']) {
    for (const one of document.querySelectorAll(`[${name}]`)) if (!document.getElementById(one.getAttribute(name))) missing.push(`${name} leads nowhere: ${one.id}`);
  }
  return missing;
};
