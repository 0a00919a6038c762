// The page on a phone: 360 px wide, a finger in place of a mouse.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './lib/chromium.mjs';
import { button, more, open, post, region, rows, serve, until } from './lib/page.mjs';
import { startServer } from './lib/server.mjs';

const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true };

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

test('on a phone the newest event is seen without scrolling, before the figures and the forms', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=pocket', server);
    for (const data of ['older', 'newest']) await post(server, 'pocket', data);
    await rows(page).filter({ hasText: 'newest' }).waitFor();
    const { bottom } = await box(rows(page).first());
    assert.ok(bottom <= 640, `the newest event ends at ${bottom} px of 640`);
    const events = await box(region(page, 'Events'));
    for (const name of ['Right now', 'Subscribe', 'Publish']) {
      const { top } = await box(region(page, name));
      assert.ok(top >= events.bottom, `${name} begins at ${top} px, the events end at ${events.bottom}`);
    }
    assert.equal(await page.evaluate(() => scrollY), 0);
  }, { browser, device: PHONE });
});

test('on a phone links lead to the parts below, which the line of links does not cover', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=pocket', server);
    const links = page.getByRole('navigation', { name: 'On this page' });
    for (const name of ['Publish', 'Subscribe', 'Events']) {
      await links.getByRole('link', { name, exact: true }).click();
      const heading = await box(page.getByRole('heading', { name, exact: true }));
      const covered = (await box(links)).bottom;
      assert.ok(heading.top >= covered && heading.bottom <= 640, `${name}: ${heading.top} to ${heading.bottom}, covered to ${covered}`);
    }
  }, { browser, device: PHONE });
});

test('what a finger touches is 40 px high at least', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=clock&topic=pocket', server);
    await post(server, 'pocket', 'x');
    await rows(page).first().waitFor();
    await more(page);
    await button(page, 'Delete the topic…').click();
    for (const tab of await page.getByRole('tab').all()) {
      await tab.click();
      const small = await page.evaluate(() => [...document.querySelectorAll('button, select, summary, nav a, label:has(input), input:not(label input, .chips input), .chips')]
        .filter((one) => one.checkVisibility())
        .map((one) => [Math.round(one.getBoundingClientRect().height), one.id || one.textContent.trim() || one.className])
        .filter(([height]) => height < 40));
      assert.deepEqual(small, []);
    }
  }, { browser, device: PHONE });
});

for (const width of [360, 1280]) {
  test(`the labels of the stock chart are 11 px high at least, and none is cut off: ${width} px`, async () => {
    await withPage(async (page) => {
      await open(page, '?topic=pocket', server);
      await page.getByRole('tab', { name: 'Stock' }).click();
      const chart = page.getByRole('img', { name: /^Prices of four shares/ });
      await until(() => chart.locator('g text').count(), (number) => number === 4);
      await page.setViewportSize({ width, height: 700 });
      await until(() => chart.evaluate((drawn) => Math.round(drawn.getScreenCTM().a * 100)), (scale) => scale === 100); // drawn anew for this width
      const labels = await chart.evaluate((drawn) => [...drawn.querySelectorAll('text')].map((label) => {
        const [inner, outer] = [label.getBoundingClientRect(), drawn.getBoundingClientRect()];
        return { words: label.textContent, size: parseFloat(getComputedStyle(label).fontSize) * label.getScreenCTM().a, inside: inner.left >= outer.left - 0.5 && inner.right <= outer.right + 0.5 };
      }));
      assert.equal(labels.length, 7);
      for (const { words, size, inside } of labels) assert.ok(size >= 11 && inside, `${words}: ${size} px, inside: ${inside}`);
    }, { browser, device: { viewport: { width: 700, height: 700 } } });
  });
}

/** Where it is in the window. */
const box = (what) => what.evaluate((one) => {
  const { top, bottom } = one.getBoundingClientRect();
  return { top, bottom };
});
