// Connections that end, hubs that die, readers that stop, and the browser's limit.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './lib/chromium.mjs';
import { button, CUT, fill, isState, list, notes, open, post, publish, REFUSED, region, rowOf, send, serve, shownData, until } from './lib/page.mjs';
import { startServer } from './lib/server.mjs';

let browser;
let server;
before(async () => {
  browser = await launch();
  server = await startServer(serve());
});
after(async () => {
  await server?.kill();
  await browser?.close();
});

test('a dropped connection comes back by itself and has lost nothing', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=cut', server);
    await page.getByLabel(/If it is quiet, publish three events/).uncheck();
    const id = await publish(page, { topic: 'cut', data: 'before' });
    const comesBack = await heldBack(page);
    await button(page, 'Drop my connection').click();
    await isState(page, 'reconnecting');
    await page.getByRole('banner').getByText(/^usually every 2 to 5 s, \d+ s so far$/).waitFor();
    assert.ok(await button(page, 'Drop my connection').isDisabled());
    for (const data of ['one', 'two', 'three']) await post(server, 'cut', data);
    comesBack();
    await isState(page, 'live');
    await notes(page, new RegExp(`reconnected: dropped by this page; waited \\d+\\.\\d s; sent id ${id}; 3 replayed; nothing missing$`)).waitFor();
    await publish(page, { topic: 'cut', data: 'after' });
    assert.deepEqual(await shownData(page), ['after', 'three', 'two', 'one', 'before']);
    assert.equal(await notes(page, /./).count(), 1, 'one line for one reconnection');
  }, { browser });
});

test('a stream that has had no event yet resumes as well', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=silent', server);
    await page.getByLabel(/If it is quiet, publish three events/).uncheck();
    const comesBack = await heldBack(page);
    await button(page, 'Drop my connection').click();
    await isState(page, 'reconnecting');
    await post(server, 'silent', 'meanwhile');
    comesBack();
    await notes(page, /reconnected: .+; sent id \S+; 1 replayed; nothing missing$/).waitFor();
    assert.deepEqual(await shownData(page), ['meanwhile']);
  }, { browser });
});

for (const [query, topic] of [['?topic=still', 'still'], ['?topic=quiet/*', 'quiet/drop-test']]) {
  test(`a drop on a quiet topic publishes three events meanwhile and tells beside its button that none was lost: ${query}`, async () => {
    await withPage(async (page) => {
      const published = [];
      page.on('response', (answer) => { if (answer.request().method() === 'POST' && answer.url().endsWith(`/events/${topic}`)) published.push(answer); });
      await open(page, query, server);
      const comesBack = await heldBack(page);
      const card = region(page, 'Drop my connection');
      await card.getByLabel(`If it is quiet, publish three events to ${topic} meanwhile`).waitFor();
      await button(page, 'Drop my connection').click();
      const said = card.getByRole('status');
      await until(() => published.length, (number) => number === 3);
      comesBack();
      await said.filter({ hasText: /^Back after \d+\.\d s: 3 replayed, none lost\.$/ }).waitFor();
      const [under, above] = [await said.boundingBox(), await button(page, 'Drop my connection').boundingBox()];
      assert.ok(under.y >= above.y + above.height && under.y < above.y + above.height + 40, 'right under the button');
      assert.deepEqual((await shownData(page)).map((data) => data.slice(0, 6)), ['3 of 3', '2 of 3', '1 of 3']);
    }, { browser });
  });
}

test('a drop where nothing may be published, or nothing is asked for, says so in place', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=alone', server);
    const said = region(page, 'Drop my connection').getByRole('status');
    const denied = JSON.stringify({ status: 403, detail: 'not from here' });
    await page.route(/\/events\/alone$/, (route) => route.fulfill({ status: 403, contentType: 'application/problem+json', body: denied }));
    await button(page, 'Drop my connection').click();
    await said.filter({ hasText: /^Back after \d+\.\d s: 0 replayed, none lost\. Publishing meanwhile: refused: not from here \(403 forbidden\)\.$/ }).waitFor();
    await page.getByLabel(/If it is quiet, publish three events/).uncheck();
    await isState(page, 'live');
    await button(page, 'Drop my connection').click();
    await said.filter({ hasText: /^Back after \d+\.\d s: 0 replayed, none lost\. Nothing was published meanwhile\.$/ }).waitFor();
    await page.route(/\/control\//, (route) => route.fulfill({ status: 404, contentType: 'application/problem+json', body: '{"status":404,"detail":"no such stream"}' }));
    await button(page, 'Drop my connection').click();
    await said.getByText('refused: no such stream (404 not found)', { exact: true }).waitFor();
    await isState(page, 'live');
  }, { browser, expected: REFUSED });
});

test('a hub that was killed and restarted: the page comes back by itself and tells the gap', async () => {
  const first = await startServer(serve());
  let second;
  try {
    await withPage(async (page) => {
      await open(page, '?topic=news', first);
      const id = await publish(page, { topic: 'news', data: 'before' });
      await first.kill();
      await isState(page, 'offline');
      await page.getByRole('banner').getByText('the hub does not answer; it is tried again and again', { exact: true }).waitFor();
      await notes(page, `connection lost after ${id}`).waitFor();
      await region(page, 'Right now').getByText('No figures: the hub does not answer.', { exact: true }).waitFor();

      second = await startServer(serve({ listen: new URL(first.url).host }));
      await isState(page, 'live');
      await notes(page, new RegExp(`reconnected: the hub did not answer; waited \\d+\\.\\d s; sent id ${id}; 0 replayed; a hole, told in the line above$`)).waitFor();
      await notes(page, `gap: events after ${id} may be missing: the hub has begun a new log`).waitFor();
      await region(page, 'Right now').getByText(/^Up \d+ s/).waitFor();
      await publish(page, { topic: 'news', data: 'after' });
      assert.deepEqual(await shownData(page), ['after', 'before']);
      assert.equal(await notes(page, /./).count(), 2, 'the reconnection and the gap are told once each');
    }, { browser, expected: CUT });
  } finally {
    await first.kill();
    await second?.kill();
  }
});

test('a gap that is known says how many events are missing, and why', async () => {
  const small = await startServer(serve({ more: ['--keep-events', '3'] }));
  try {
    await withPage(async (page) => {
      const { id } = await post(small, 'gone', '0');
      for (let number = 1; number <= 10; number++) await post(small, 'gone', `${number}`);
      await open(page, `?topic=gone&since=${id}`, small);
      await notes(page, `gap: 7 events after ${id} missing: they are no longer kept`).waitFor();
      assert.deepEqual(await until(() => shownData(page), (shown) => shown.length === 3), ['10', '9', '8']);
    }, { browser });
  } finally {
    await small.kill();
  }
});

test('a reader that stops reading falls behind in sight of all, and has missed nothing when it reads on', { timeout: 180_000 }, async () => {
  await withPage(async (page) => {
    await open(page, '?topic=other', server);
    const card = region(page, 'Stop reading');
    await button(page, 'Stop reading').click();
    const slow = page.getByRole('row', { name: /demo\/burst\/.*slow/ });
    await slow.waitFor({ timeout: 60_000 });
    const lag = Number((await slow.getByRole('cell').nth(5).textContent()).replace(',', ''));
    assert.ok(lag >= 10, `${lag} events behind`);
    await until(() => tile(page, 'Worst lag, in events'), (worst) => worst >= 10);
    await publish(page, { topic: 'other', data: 'nobody waits for it' });
    await button(page, 'Read on').click({ timeout: 60_000 }).catch(() => {}); // on a slow machine it has read on by itself
    const said = card.getByRole('status').filter({ hasText: /^(Complete|A gap|\d)/ });
    assert.match(await said.textContent({ timeout: 60_000 }), /^Complete: after \d+\.\d s without reading, all \d+ events \(\d+\.\d MB\) came, in order and once each\.$/);
    await slow.waitFor({ state: 'detached' });
    await until(() => tile(page, 'Worst lag, in events'), (worst) => worst < 10);
    assert.ok(await button(page, 'Stop reading').isEnabled());
  }, { browser });
});

test('a burst is told in one line', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=*', server);
    for (let number = 0; number < 3; number++) await post(server, 'demo/burst/x', 'x'.repeat(1_000));
    await notes(page, 'burst on demo/burst/x: 3 events, 3.0 kB, not listed one by one').waitFor();
    const id = await publish(page, { topic: 'x', data: 'listed' });
    assert.equal(await list(page).getByRole('listitem').count(), 2, id);
  }, { browser });
});

test('of seven streams as many wait as the browser has connections too few, and so does a publish', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    await until(() => tile(page, 'Subscribers'), (number) => number === 1); // its two own connections are open
    await button(page, 'Open 7 streams').click();
    const streams = page.getByRole('list', { name: 'The seven streams' }).getByRole('listitem');
    await until(() => streams.filter({ hasText: /open after \d+ ms/ }).count(), (open) => open === 4);
    assert.equal(await streams.filter({ hasText: 'waits for a free connection' }).count(), 3);
    await region(page, 'Open 7 streams').getByText(/^4 of 7 are open, 3 wait: this page uses 2 connections of its own, and the browser has six for this origin over http\/1\.1\./).waitFor();
    assert.equal(await page.getByRole('list', { name: 'Three cures' }).getByRole('listitem').count(), 3);

    await fill(page, { topic: 'x', data: 'hangs' });
    await button(page, 'Publish').click();
    const answer = region(page, 'Publish').getByRole('status');
    await answer.getByText('publishing…', { exact: true }).waitFor();
    if (process.env.OYEZ_TEST_LONG) {
      await answer.getByText('given up after 10 s without an answer: the open streams hold all connections that the browser has for this origin', { exact: true }).waitFor();
      await button(page, 'Publish').click();
    }
    await button(page, 'Close them').click();
    const id = (await answer.getByText(/^published as/).textContent()).split(' ')[2];
    await rowOf(page, id).waitFor();
    assert.equal(await streams.count(), 0);
    assert.equal(await send(page).then((words) => words.split(' ')[0]), 'published');
  }, { browser });
});

test('with its own stream closed there is one connection more', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    await until(() => tile(page, 'Subscribers'), (number) => number >= 1);
    await button(page, 'Unsubscribe').click();
    await button(page, 'Open 7 streams').click();
    await region(page, 'Open 7 streams').getByText(/^5 of 7 are open, 2 wait: this page uses 1 connection of its own/).waitFor();
  }, { browser });
});

/** Keeps a stream that is lost from coming back, until what this resolves to is called: the test needs its time meanwhile. */
async function heldBack(page) {
  let comesBack;
  const held = new Promise((done) => { comesBack = done; });
  await page.route(/\/events\?topic=/, async (route) => {
    if (route.request().headers().accept === 'text/event-stream') await held;
    await route.continue();
  });
  return comesBack;
}

/** The number of a tile. */
async function tile(page, name) {
  const words = await region(page, 'Right now').getByRole('heading', { name }).locator('xpath=following-sibling::b').textContent();
  return Number(words.replace(',', ''));
}
