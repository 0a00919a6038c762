// Makes the README's picture of the page: node tests/browser/screenshot.mjs FILE.png, with OYEZ_BIN. Run by hand; it takes two
// minutes, which is what the curves of the tiles show.
import { setMaxListeners } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { launch } from './lib/chromium.mjs';
import { button, isState, notes, open, post, rows, serve } from './lib/page.mjs';
import { startServer } from './lib/server.mjs';

const file = process.argv[2];
if (!file) throw new Error('which file shall the picture go to?');
const server = await startServer(serve({ listen: '127.0.0.1:8888', more: ['--demo'] })); // the address that people see
const browser = await launch();
const end = new AbortController();
setMaxListeners(0, end.signal); // one for each reader
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 960 }, colorScheme: 'light' });
  const traffic = Promise.all([publish(), readers()]);
  await open(page, '?topic=orders/*&topic=clock&type=order', server);
  await pause(75_000);
  await button(page, 'Stop reading').click();
  await page.getByRole('row', { name: /demo\/burst\/.*slow/ }).waitFor();
  await pause(7_000);
  await button(page, 'Read on').click();
  await pause(24_000);
  await button(page, 'Drop my connection').click();
  await notes(page, /nothing missing$/).waitFor();
  await isState(page, 'live');
  await pause(600);
  await rows(page).filter({ hasText: 'total' }).first().locator('summary').click();
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); document.getElementById('list').scrollTop = 0; });
  await page.mouse.move(0, 0);
  await page.screenshot({ path: file });
  end.abort();
  await traffic;
} finally {
  end.abort();
  await browser.close();
  await server.kill();
}

/** Orders, now more and now fewer of them. */
async function publish() {
  for (let number = 1041; !end.signal.aborted; number++) {
    const data = { order: number, total: 12.5 + number % 7 };
    await post(server, `orders/${number % 3 ? 'eu' : 'us'}?event=order`, JSON.stringify(data)).catch(() => {});
    await pause(700 + 600 * Math.cos(performance.now() / 9_000)); // few of them when the picture is taken
  }
}

/** Readers that come and go. */
async function readers() {
  const topics = ['orders/eu', 'orders/us', 'orders/*', 'stock', 'clock'];
  for (let number = 0; !end.signal.aborted; number++) {
    read(`${server.url}/events/${topics[number % topics.length]}`, 20_000 + 9_000 * (number % 4));
    await pause(6_500, undefined, { signal: end.signal }).catch(() => {});
  }
}

async function read(url, ms) {
  const leave = new AbortController();
  const timer = setTimeout(() => leave.abort(), ms);
  end.signal.addEventListener('abort', () => { clearTimeout(timer); leave.abort(); });
  try {
    for await (const _ of (await fetch(url, { signal: leave.signal })).body);
  } catch { /* it has left */ }
}
