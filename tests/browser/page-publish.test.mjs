// Publishing, and the commands to copy.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './lib/chromium.mjs';
import { applyButton, button, chips, copied, CUT, fill, more, opened, open, parts, post, publish, REFUSED, region, rowOf, rows, send, serve, shell, shownData, subscribe, until } from './lib/page.mjs';
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

test('a key and a time to live travel with the event, and a snapshot tells the newest of each key', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=rooms', server);
    for (const topic of ['rooms', 'rooms, other']) { // as a path, and as JSON
      const suffix = topic.length;
      for (const [key, data] of [['roof', 'old'], ['cellar', 'cold'], ['roof', 'new']]) await publish(page, { topic, key: `${key}${suffix}`, data: `${data}${suffix}` });
      await publish(page, { topic, data: `no key${suffix}` });
    }
    await button(page, 'Clear').click();
    await region(page, 'Subscribe').getByLabel('From').selectOption({ label: 'the newest of each key' });
    await applyButton(page).click();
    assert.deepEqual(await until(() => shownData(page), (shown) => shown.length >= 4), ['new12', 'cold12', 'new5', 'cold5']);
    assert.match(page.url(), /\?topic=rooms&snapshot=1$/);
    await page.reload();
    assert.deepEqual(await until(() => shownData(page), (shown) => shown.length >= 4), ['new12', 'cold12', 'new5', 'cold5']);
    assert.match(await copied(page, 'Copy the command to subscribe'), /snapshot=1/);

    for (const topic of ['rooms', 'rooms, other']) {
      await fill(page, { topic, ttl: 'soon', data: 'x' });
      assert.match(await send(page), /^refused: .*soon.* \(400 wrong request\)$/);
      const id = await publish(page, { topic, ttl: '1ms', data: 'gone at once' }, { shown: false });
      const history = () => fetch(`${server.url}/events/rooms?poll=1&last=20`).then((answer) => answer.text());
      await until(history, (stream) => !stream.includes(`id: ${id}\nda`));
    }
  }, { browser, expected: REFUSED });
});

test('a topic is ended from the page, one at a time', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=answer', server);
    await fill(page, { topic: 'answer, other', end: true, data: 'the last' });
    assert.match(await send(page), /^refused: name one topic/);
    await fill(page, { topic: 'answer', end: true, data: 'the last' });
    assert.match(await send(page), /^published as \S+ in \d+ ms; answer has ended$/);
    await page.getByRole('banner').getByText('the stream is complete', { exact: true }).waitFor();
    assert.deepEqual((await shownData(page)).filter((data) => data === 'the last'), ['the last']);
    assert.ok(!await region(page, 'Publish').getByLabel('It is the last: the topic ends after it').isChecked());
    assert.equal((await fetch(`${server.url}/events/answer?last=5`)).status, 200, 'a finite stream');
    await fill(page, { topic: 'answer', data: 'too late' });
    assert.match(await send(page), /^refused: /);
  }, { browser, expected: REFUSED });
});

test('a topic is deleted after a question, and not before', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=x', server);
    const form = region(page, 'Publish');
    const history = (topic) => fetch(`${server.url}/events/${topic}?poll=1`).then((answer) => answer.text());
    for (const topic of ['kept', 'doomed']) await publish(page, { topic, data: 'here' }, { shown: false });
    await more(page);
    await fill(page, { topic: 'kept, doomed' });
    await button(page, 'Delete the topic…').click();
    await form.getByText(/^name one topic/).waitFor();
    await fill(page, { topic: 'kept' });
    await button(page, 'Delete the topic…').click();
    await form.getByText('Hide all events of kept, from everyone?', { exact: true }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Keep');
    await button(page, 'Keep').click();
    await button(page, 'Keep').waitFor({ state: 'hidden' });
    assert.match(await history('kept'), /data: here/);
    await fill(page, { topic: 'doomed' });
    await button(page, 'Delete the topic…').click();
    await form.getByText('Hide all events of doomed, from everyone?', { exact: true }).waitFor();
    await button(page, 'Delete').click();
    await form.getByText(/^doomed is deleted: all up to \S+ is hidden$/).waitFor();
    assert.doesNotMatch(await history('doomed'), /data: here/);
    assert.match(await history('kept'), /data: here/);
  }, { browser });
});

test('the topics there are, from the history and what has come since, are read and published to', async () => {
  const own = await startServer(serve());
  try {
    await withPage(async (page) => {
      for (const [topic, data] of [['before/b', '1'], ['before/a', '2'], ['before/a', '3']]) await post(own, topic, data);
      await open(page, '?topic=*', own);
      const there = region(page, 'Topics').getByRole('list', { name: 'Topics there are' });
      const names = () => there.getByRole('listitem').locator('span').allTextContents();
      assert.deepEqual(await until(names, (all) => all.length === 2), ['before/a', 'before/b']);
      await post(own, 'since', 'x');
      await publish(page, { topic: 'mine', data: 'x' });
      assert.deepEqual(await until(names, (all) => all.length === 4), ['before/a', 'before/b', 'mine', 'since']);

      await button(page, 'Read before/a').focus(); // all of the list is one stop of the tab key
      assert.equal(await there.locator('[tabindex="0"]').count(), 1);
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('Enter');
      assert.equal(await region(page, 'Publish').getByLabel('To topics, comma between').inputValue(), 'before/b');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'data');

      await button(page, 'Clear').click();
      await button(page, 'Read before/a').click();
      assert.deepEqual(await until(() => shownData(page), (shown) => shown.length === 2), ['3', '2']);
      assert.deepEqual(await chips(page), ['before/a']);
      await fetch(`${own.url}/events/before/b`, { method: 'DELETE' });
      await button(page, 'Refresh').click();
      assert.deepEqual(await until(names, (all) => all.length === 3), ['before/a', 'mine', 'since']);
    }, { browser });
  } finally {
    await own.kill();
  }
});

test('the answer to a publish comes into sight', async () => {
  await withPage(async (page) => {
    await page.setViewportSize({ width: 360, height: 500 });
    await open(page, '?topic=x', server);
    await fill(page, { topic: 'x', data: 'x' });
    await send(page);
    const { top, bottom } = await page.locator('#answer').evaluate((one) => one.getBoundingClientRect().toJSON());
    assert.ok(top >= 0 && bottom <= 500, `${top} to ${bottom}`);
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
      await applyButton(page).click();
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
