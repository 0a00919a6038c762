// The pages of the examples in Chromium, on a narrow screen, dark and light.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch, withPage } from '../browser/lib/chromium.mjs';
import { startServer } from '../browser/lib/server.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

visit('clock', async (page) => {
  await page.waitForFunction(() => /\d/.test(clock.textContent) && state.textContent === 'live');
  const time = await page.locator('time').getAttribute('datetime');
  await page.waitForFunction((first) => clock.dateTime > first, time);
});

visit('stock', async (page) => {
  await page.waitForFunction(() => document.querySelectorAll('tr').length === 3);
  await page.waitForFunction(() => [...document.querySelectorAll('tr polyline')].every((line) => line.points.length > 3));
  const cells = await page.locator('tr').first().locator('td').allTextContents();
  assert.match(cells.join('|'), /^[A-Z]{4}\|\d+\.\d\d\|[+-]\d+\.\d\d %\|/);
});

visit('sensors', async (page) => {
  await page.waitForFunction(() => wave.points.length === 300 && /°C/.test(celsius.textContent));
  const heights = await page.evaluate(() => [...wave.points].map(({ y }) => y));
  assert.ok(Math.max(...heights) > 5_000 && Math.min(...heights) < -5_000, 'a wave, as it was measured');
  assert.ok(heights.every((height, at) => at === 0 || Math.abs(height - heights[at - 1]) < 2_000), 'and no noise, as swapped bytes would be');
  assert.match(await page.locator('#celsius').textContent(), /^(19|20|21)\.\d\d °C$/);
  assert.match(await page.locator('#cost').textContent(), /33\.3 % more/);
});

visit('chat', async (page, url) => {
  await page.waitForFunction(() => here.textContent === '1 here');
  await withPage(async (other) => {
    await other.goto(url);
    await page.waitForFunction(() => here.textContent === '2 here');
    await other.fill('[name=from]', 'Ann');
    await other.fill('[name=text]', '<b>hello</b> 你好');
    await other.click('button');
    for (const each of [page, other]) await each.waitForFunction(() => lines.textContent === 'Ann: <b>hello</b> 你好');
    assert.equal(await other.inputValue('[name=text]'), '');
  }, { browser });
  await page.waitForFunction(() => here.textContent === '1 here');
  await page.click('a[href="#rust"]');
  await page.waitForFunction(() => title.textContent === 'rust' && here.textContent === '1 here');
  assert.equal(await page.locator('#lines').textContent(), '', 'another room');
  await page.click('a[href="#lobby"]');
  await page.waitForFunction(() => lines.textContent.includes('hello'), undefined);
});

visit('progress', async (page) => {
  await page.click('button');
  await page.waitForFunction(() => bar.value >= 10);
  await page.reload();
  await page.waitForFunction(() => bar.value >= 10 && start.disabled);
  await page.waitForFunction(() => result.value === '50 pages' && bar.value === 100 && !start.disabled);
});

visit('answer', async (page, url) => {
  await page.click('button');
  await page.waitForFunction(() => answer.textContent.length > 50);
  await page.reload();
  await withPage(async (other) => {
    await other.goto(page.url());
    // behind the end the browser comes back once, and is told to stay away
    for (const each of [page, other]) await each.waitForFunction(() => state.value === 'complete, and nothing is open any more');
    const texts = await Promise.all([page, other].map((each) => each.locator('#answer').textContent()));
    assert.equal(texts[0], texts[1]);
    assert.equal(texts[0].split(/\s+/).length, 60, 'each word once');
  }, { browser });
});

/** Starts an example, opens its page and ends both after `body`. */
function visit(name, body) {
  test(`the page of ${name}`, { timeout: 60_000 }, async (t) => {
    const { url } = await startServer([example(name), '127.0.0.1:0'], { t, admin: false });
    await withPage(async (page) => {
      await page.setViewportSize({ width: 360, height: 640 });
      await page.goto(url);
      await body(page, url);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out at 360 px');
      const [light, dark] = [await colours(page, 'light'), await colours(page, 'dark')];
      assert.notEqual(light, dark, 'light and dark');
    }, { browser });
  });
}

async function colours(page, colorScheme) {
  await page.emulateMedia({ colorScheme });
  return page.evaluate(() => getComputedStyle(document.body).color);
}

/** The examples that `cargo test --package oyez-examples` has built. */
function example(name) {
  const folder = process.env.OYEZ_EXAMPLES;
  if (!folder) throw new Error('OYEZ_EXAMPLES does not name the folder of the built examples; ./test examples sets it');
  return join(folder, name);
}
