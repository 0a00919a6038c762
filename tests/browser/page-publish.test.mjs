// Publishing, and the commands to copy.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './lib/chromium.mjs';
import { button, chips, copied, CUT, fill, opened, open, parts, publish, REFUSED, region, rowOf, rows, send, serve, shell, shownData, subscribe, until } from './lib/page.mjs';
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

test('a refused publish says why', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    const check = async (wanted, expected) => {
      await fill(page, wanted);
      assert.match(await send(page), expected);
    };
    await check({ topic: 'a*b', data: 'x' }, /^refused: .*a\*b.* \(400 wrong request\)$/);
    await check({ topic: 'x', type: 'oyez.gap', data: '{}' }, /^refused: .*oyez\.gap.* \(400 wrong request\)$/);
    await check({ topic: 'x', data: 'x'.repeat((1 << 20) + 1) }, /^refused: .* has more than 1048576 bytes \(413 too large\)$/);
    assert.equal(await rows(page).count(), 0);
  }, { browser, expected: REFUSED });
});

test('id and reconnection time travel with the event', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=whole', server);
    for (const topic of ['whole', 'whole, other']) { // as a path, and as JSON
      const id = `order-${topic.length}`;
      assert.equal(await publish(page, { topic, id, retry: '2500', type: 'sale', data: 'x' }), id);
      const stream = await (await fetch(`${server.url}/events/whole?poll=1&last=1`)).text();
      assert.match(stream, new RegExp(`^id: ${id}\nevent: sale\nretry: 2500\ndata: x\n\n`, 'm'));
    }
  }, { browser });
});

test('the page says whether the data is JSON', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    for (const [data, expected] of [
      ['{"a":1}', 'valid JSON: an object'], ['[1]', 'valid JSON: an array'], ['1.5', 'valid JSON: a number'], ['"a"', 'valid JSON: a string'], ['null', 'valid JSON: null'],
      ['hello', 'not JSON: sent as plain text'], [' ', 'empty: an event without data'],
    ]) {
      await region(page, 'Publish').getByLabel('Data').fill(data);
      await region(page, 'Publish').getByText(expected, { exact: true }).waitFor();
    }
    await region(page, 'Publish').getByLabel('Data').fill('{"a":1,}');
    await region(page, 'Publish').getByText(/^not JSON: .+position 7/).waitFor();
  }, { browser });
});

test('the commands do what the page does, whatever is in the fields', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=*', server);
    const cases = [
      { topic: 'plain', data: 'hello' },
      { topic: "it's/a b?c&d#e%2F", type: "t'y pe", data: 'it\'s "$HOME" `id` \\n !x 你好\ntwo lines' },
      { topic: 'at', data: '@/etc/hostname' },
      { topic: 'empty', data: '' },
      { topic: '/odd//../topic/', data: 'as JSON', type: 'order' },
      { topic: 'several, topics', data: 'at once' },
    ];
    for (const wanted of cases) {
      const pageId = await publish(page, wanted);
      const { id } = JSON.parse(await shell(await copied(page, 'Copy the command to publish')));
      await rowOf(page, id).waitFor();
      const [ours, theirs] = await Promise.all([pageId, id].map((one) => parts(rowOf(page, one))));
      assert.deepEqual([theirs.type, theirs.topics, theirs.data], [wanted.type ?? 'message', wanted.topic, ours.data]);
      assert.equal((await opened(rowOf(page, id))).data, wanted.data || '(empty)');

      await subscribe(page, wanted.topic.split(', ')); // both are in the history: the command to subscribe finds them
      await region(page, 'Subscribe').getByLabel('From').selectOption({ label: 'the earliest kept' });
      const line = await copied(page, 'Copy the command to subscribe');
      const stream = await shell(line.replace('?', '?limit=2&'));
      assert.match(stream, new RegExp(`^id: ?${pageId}$`, 'm'), line);
      assert.match(stream, new RegExp(`^id: ?${id}$`, 'm'), line);
      await region(page, 'Subscribe').getByLabel('From').selectOption({ label: 'now' });
      await subscribe(page, ['*']);
    }
  }, { browser });
});

test('the script to copy does what the page does', async () => {
  await withPage(async (page) => {
    await open(page, `?topic=${encodeURIComponent("script's/*")}&type=order&since=earliest`, server);
    await publish(page, { topic: "script's/a", type: 'order', data: 'in script' });
    await page.getByText('In a page').click();
    const script = await copied(page, 'Copy the script to subscribe');
    const data = await page.evaluate((source) => new Promise((resolve) => {
      console.log = resolve;
      Function(source)(); // what a test evaluates is beyond the page's policy
    }), script);
    assert.equal(data, 'in script');
    assert.deepEqual(await chips(page), ["script's/*"]);
  }, { browser });
});

test('a repeated publish goes on until it is stopped, or refused', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=repeated', server);
    await fill(page, { topic: 'repeated', data: 'again' });
    await page.getByLabel('Seconds between repeats').fill('0.1');
    await button(page, 'Repeat').click();
    await until(() => rows(page).count(), (number) => number >= 3);
    await page.getByRole('button', { name: /^Stop \(\d+ sent\)$/ }).click();
    await button(page, 'Repeat').waitFor();
    assert.ok((await shownData(page)).every((data) => data === 'again'));

    await button(page, 'Repeat').click();
    await page.getByRole('button', { name: /^Stop \((?!1 )\d+ sent\)$/ }).waitFor();
    await region(page, 'Publish').getByLabel('To topics, comma between').fill('a*b');
    await region(page, 'Publish').getByText(/^refused: .*a\*b/).waitFor();
    await button(page, 'Repeat').waitFor();
  }, { browser, expected: REFUSED });
});

test('a publish to a hub that has stopped says so', async () => {
  const own = await startServer(serve());
  try {
    await withPage(async (page) => {
      await open(page, '?topic=x', own);
      await own.kill();
      await fill(page, { topic: 'x', data: 'x' });
      assert.equal(await send(page), 'the hub does not answer');
    }, { browser, expected: CUT });
  } finally {
    await own.kill();
  }
});
