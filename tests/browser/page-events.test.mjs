// Subscribing, and the list of events.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, withPage } from './lib/chromium.mjs';
import { applyButton, button, chips, isState, list, notes, open, opened, parts, post, publish, REFUSED, region, rowOf, rows, serve, shownData, subscribe, topicEntry, until } from './lib/page.mjs';
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

test('what is published with Ctrl+Enter is shown, as text', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=shown', server);
    const data = 'héllo, 你好\n<b>bold</b> <img src=x onerror=alert(1)>\n\n  end ';
    const row = rowOf(page, await publish(page, { topic: 'shown', data }));
    const { time, type, topics, data: line, size, lag } = await parts(row);
    assert.match(time, /^\d\d:\d\d:\d\d\.\d{3}$/);
    assert.deepEqual([type, topics, size], ['message', 'shown', `${Buffer.byteLength(data)} B`]);
    assert.match(lag, /^\d+(\.\d)? m?s$/);
    assert.equal(line, 'héllo, 你好 ⏎ <b>bold</b> <img src=x onerror=alert(1)> ⏎  ⏎   end ');
    assert.equal((await opened(row)).data, data);
    assert.equal(await list(page).locator('b, img').count(), 0);
    await region(page, 'Events').getByText('1 received', { exact: true }).waitFor();
  }, { browser });
});

test('an opened event shows pretty JSON, and the frame as the hub sends it', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=framed', server);
    for (const wanted of [
      { topic: 'framed', data: '{"b":[1,2],"a":"é"}' },
      { topic: 'framed', data: 'two\nlines\n', type: 'order', id: 'mine-1' },
      { topic: 'framed', data: '' },
    ]) {
      const id = await publish(page, wanted);
      const { data, frame } = await opened(rowOf(page, id));
      const stream = await (await fetch(`${server.url}/events/framed?poll=1&last=1`)).text();
      const sent = stream.slice(stream.indexOf('\n\n') + 2); // behind the block that opens the stream
      assert.equal(frame, sent.replaceAll('\n', '↵\n'));
      if (wanted.data.startsWith('{')) assert.equal(data, '{\n  "b": [\n    1,\n    2\n  ],\n  "a": "é"\n}');
      else assert.equal(data, wanted.data || '(empty)');
    }
  }, { browser });
});

test('an event has its topics, and arrives once for all of them', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=one&topic=two/*', server);
    const id = await publish(page, { topic: 'one, two/b', data: 'both' });
    assert.equal((await parts(rowOf(page, id))).topics, 'one, two/b');
    assert.equal(await rows(page).count(), 1);
  }, { browser });
});

test('every type that the page publishes or was asked for is shown, even open and error', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=typed&type=asked', server);
    for (const type of ['order', 'open', 'error', 'message']) {
      const id = await publish(page, { topic: 'typed', type, data: type });
      assert.equal((await parts(rowOf(page, id))).type, type);
    }
    const { id } = await post(server, 'typed?event=asked', 'from elsewhere');
    assert.equal((await parts(rowOf(page, id))).type, 'asked');
    await isState(page, 'live');
  }, { browser });
});

test('topics are chosen by keyboard alone', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=first', server);
    await topicEntry(page).focus();
    await page.keyboard.type('second,third/*');
    await page.keyboard.press('Enter');
    assert.deepEqual(await chips(page), ['first', 'second', 'third/*']);
    await page.keyboard.press('Backspace');
    assert.deepEqual(await chips(page), ['first', 'second']);
    await page.keyboard.press('Shift+Tab'); // the last chip's remove
    await page.keyboard.press('Shift+Tab');
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), 'Remove topic first');
    await page.keyboard.press('Space');
    assert.deepEqual(await chips(page), ['second']);
    await page.keyboard.type('fourth'); // the entry has the focus again
    await page.keyboard.press('Control+Enter'); // what is typed counts
    assert.deepEqual(await chips(page), ['second', 'fourth']);
    assert.match(page.url(), /\?topic=second&topic=fourth$/);
    await isState(page, 'live');
    const id = await publish(page, { topic: 'fourth', data: 'heard' });
    assert.equal((await parts(rowOf(page, id))).topics, 'fourth');
  }, { browser });
});

test('unsubscribing ends the stream, and subscribing anew begins where it was told to', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=again', server);
    const one = await publish(page, { topic: 'again', data: 'one' });
    await button(page, 'Unsubscribe').click();
    await isState(page, 'closed');
    assert.ok(await button(page, 'Unsubscribe').isDisabled());
    await publish(page, { topic: 'again', data: 'two' }, { shown: false });

    const from = region(page, 'Subscribe').getByLabel('From');
    const begin = async (label, more, expected) => {
      await button(page, 'Clear').click();
      await from.selectOption({ label });
      if (more) await region(page, 'Subscribe').getByLabel(more[0]).fill(more[1]);
      await applyButton(page).click();
      assert.deepEqual(await until(() => shownData(page), (shown) => shown.length >= expected.length), expected, label);
    };
    await begin('the earliest kept', undefined, ['two', 'one']);
    await begin('the last few', ['How many', '1'], ['two']);
    await begin('after an id', ['Last event id', one], ['two']);
    await begin('some time ago', ['How long', '10m'], ['two', 'one']);

    await page.reload(); // the address holds what was asked for
    assert.deepEqual(await until(() => shownData(page), (shown) => shown.length >= 2), ['two', 'one']);
    assert.deepEqual(await chips(page), ['again']);
    assert.equal(await region(page, 'Subscribe').getByLabel('How long').inputValue(), '10m');
  }, { browser });
});

test('a line stands between two subscriptions, and what is replayed says so and how old it is', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=first', server);
    const id = await publish(page, { topic: 'first, second', data: 'twice' });
    assert.match((await parts(rowOf(page, id))).lag, /^\d+(\.\d)? m?s$/, 'live: its lag');
    assert.equal(await notes(page, /./).count(), 0, 'nothing to part yet');
    await region(page, 'Subscribe').getByLabel('From').selectOption({ label: 'the earliest kept' });
    await subscribe(page, ['second']);
    await until(() => rowOf(page, id).count(), (number) => number === 2);
    const order = await list(page).locator(':scope > li').evaluateAll((all) => all.map((one) => one.querySelector('details') ? 'event' : one.lastElementChild.textContent));
    assert.deepEqual(order, ['event', 'subscribed to second, from the earliest kept', 'event']);
    assert.match((await parts(rowOf(page, id).first())).lag, /^replayed \d+ s old$/);
    const live = await publish(page, { topic: 'second', data: 'now' });
    assert.match((await parts(rowOf(page, live))).lag, /^\d+(\.\d)? m?s$/);
  }, { browser });
});

test('how old a replayed event is, is told in minutes and hours too', async () => {
  await withPage(async (page) => {
    const envelope = (minutes) => JSON.stringify({ topics: ['old'], time: new Date(Date.now() - minutes * 60_000).toISOString(), data: `${minutes}` });
    await page.route(/\/events\?topic=old/, (route) => route.fulfill({ status: 200, contentType: 'text/event-stream',
      body: `event: oyez.open\nid: e:0\ndata: {"connection":"c","stream":1}\n\n${[12, 300].map((minutes) => `id: e:${minutes}\ndata: ${envelope(minutes)}\n\n`).join('')}` }));
    await page.goto(`${server.url}/?topic=old`);
    await rows(page).nth(1).waitFor();
    assert.equal((await parts(rowOf(page, 'e:12').first())).lag, 'replayed 12 min old');
    assert.equal((await parts(rowOf(page, 'e:300').first())).lag, 'replayed 5 h old');
  }, { browser });
});

for (const minutes of [1, -1]) {
  test(`a clock that differs from the hub's by ${minutes} min makes nothing older, and nothing replayed`, async () => {
    await withPage(async (page) => {
      const before = await post(server, 'clocks', 'before');
      await page.addInitScript((ms) => {
        const real = Date.now;
        Date.now = () => real() + ms;
      }, minutes * 60_000);
      await open(page, '?topic=clocks', server);
      await region(page, 'Right now').getByText(/^Up /).waitFor(); // the hub's time is known
      const live = await publish(page, { topic: 'clocks', data: 'live' });
      assert.match((await parts(rowOf(page, live))).lag, /^(\d+ ms|\d\.\d s)$/, 'not a minute');
      await region(page, 'Subscribe').getByLabel('From').selectOption({ label: 'the earliest kept' });
      await applyButton(page).click();
      assert.match((await parts(rowOf(page, before.id))).lag, /^replayed \d+ s old$/);
    }, { browser });
  });
}

test('what the form says and is not applied is marked so, and header, address and command tell what is subscribed', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=real', server);
    const header = page.getByRole('banner');
    const command = () => page.locator('#curl-subscribe').textContent();
    const before = await command();
    assert.equal(await header.locator('#what').textContent(), 'real, from now');
    await applyButton(page).and(button(page, 'Subscribe again')).waitFor();
    const changes = [
      () => topicEntry(page).fill('typed'),
      () => topicEntry(page).press('Enter'),
      () => button(page, 'Remove topic real').click(),
    ];
    for (const change of changes) {
      await change();
      await button(page, 'Apply').waitFor();
      await region(page, 'Subscribe').getByText('Not applied yet: still subscribed to real, from now.', { exact: true }).waitFor();
      assert.equal(await header.locator('#what').textContent(), 'real, from now · changes not applied yet');
      assert.equal(await command(), before);
      assert.match(page.url(), /\?topic=real$/);
    }
    const { id } = await post(server, 'real', 'still heard');
    await rowOf(page, id).waitFor();
    await button(page, 'Apply').click();
    await isState(page, 'live');
    await button(page, 'Subscribe again').waitFor();
    assert.equal(await header.locator('#what').textContent(), 'typed, from now');
    assert.match(await command(), /topic=typed'?$/);
    assert.equal(await region(page, 'Subscribe').getByText('Not applied yet').count(), 0);

    await region(page, 'Subscribe').getByLabel('From').selectOption({ label: 'the last few' });
    await button(page, 'Apply').waitFor();
    await region(page, 'Subscribe').getByLabel('From').selectOption({ label: 'now' });
    await button(page, 'Subscribe again').waitFor();
    await button(page, 'Unsubscribe').click();
    await button(page, 'Subscribe').waitFor();
    assert.equal(await header.locator('#what').textContent(), 'subscribed to nothing');
  }, { browser });
});

test('a filter that nothing matches says so, and is cleared by a button', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=sieved', server);
    await publish(page, { topic: 'sieved', data: 'apple' });
    await page.getByLabel('Filter the events').fill('quince');
    const events = region(page, 'Events');
    await events.getByText('The one event does not match “quince”.', { exact: true }).waitFor();
    await publish(page, { topic: 'sieved', data: 'pear' }, { shown: false });
    await events.getByText('No event of 2 matches “quince”.', { exact: true }).waitFor();
    assert.equal(await events.getByRole('status').textContent(), 'No event matches “quince”.', 'and is not told again for each event');
    await button(page, 'Clear the filter').click();
    assert.deepEqual(await rows(page).filter({ visible: true }).locator('.data').allTextContents(), ['pear', 'apple']);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'filter');
    await button(page, 'Clear the filter').waitFor({ state: 'hidden' });
    await button(page, 'Clear').click();
    await list(page).getByText('Cleared. What comes next stands here.', { exact: true }).waitFor();
  }, { browser });
});

test('the column of topics takes the room it needs, and all of them are told on hover, with the focus and in an opened row', async () => {
  await withPage(async (page) => {
    await page.setViewportSize({ width: 1280, height: 900 });
    await open(page, '?topic=news', server);
    const isWhole = (one) => one.evaluate((cell) => cell.scrollWidth <= cell.clientWidth && cell.scrollHeight <= cell.clientHeight);
    const some = rowOf(page, await publish(page, { topic: 'news, orders', data: 'x' }));
    assert.ok(await isWhole(some.locator('.topics')), 'two short names');
    const all = ['news', ...Array.from({ length: 9 }, (_, number) => `a/longer/name/${number}`)].join(', ');
    const many = rowOf(page, await publish(page, { topic: all, data: 'x' }));
    const cell = many.locator('.topics');
    assert.ok(!await isWhole(cell));
    assert.equal(await cell.getAttribute('title'), all);
    const left = (row) => row.locator('.data').evaluate((one) => one.getBoundingClientRect().left);
    assert.equal(await left(many), await left(some), 'the columns of all rows are in line');
    await page.getByLabel('Filter the events').focus();
    await page.keyboard.press('Tab'); // Pause, Clear, and the list
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Home');
    assert.ok(await isWhole(cell), 'with the focus');
    await page.keyboard.press('ArrowDown');
    assert.ok(!await isWhole(cell));
    await opened(many);
    await button(page, 'Pause').focus();
    assert.ok(await isWhole(cell), 'opened');
  }, { browser });
});

test('the rows are one stop of the tab key; arrows go from row to row and Enter opens one', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=rows', server);
    for (let number = 0; number < 12; number++) await post(server, 'rows', `${number}`);
    await until(() => rows(page).count(), (number) => number === 12);
    const here = () => page.evaluate(() => document.activeElement.querySelector?.('.data')?.textContent);
    await button(page, 'Clear').focus();
    await page.keyboard.press('Tab');
    const first = await here();
    assert.ok(first, 'a row has the focus');
    await page.keyboard.press('Tab');
    assert.equal(await here(), undefined, 'and the next stop is beyond all rows');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await here(), first);
    for (const [key, expected] of [['Home', '11'], ['ArrowUp', '11'], ['ArrowDown', '10'], ['PageDown', '0'], ['ArrowDown', '0'], ['ArrowUp', '1'], ['End', '0'], ['PageUp', '10']]) {
      await page.keyboard.press(key);
      assert.equal(await here(), expected, key);
    }
    await page.keyboard.press('Enter');
    await rows(page).nth(1).locator('pre').first().waitFor();
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Tab');
    assert.equal(await here(), '10', 'the tab key comes back to the row it left');
    await page.getByLabel('Filter the events').fill('11'); // that row is hidden
    await until(() => list(page).locator('[tabindex="0"]').allTextContents(), ([only]) => only?.includes(' 11 '));
    assert.equal(await list(page).locator('[tabindex="0"]').count(), 1);
  }, { browser });
});

test('a pause counts what waits, and loses nothing', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=paused', server);
    await publish(page, { topic: 'paused', data: 'before' });
    await button(page, 'Pause').click();
    await region(page, 'Events').getByText('Paused: nothing waits yet.', { exact: true }).waitFor();
    await post(server, 'paused', 'one');
    await region(page, 'Events').getByText('Paused: 1 event waits.', { exact: true }).waitFor();
    await post(server, 'paused', 'two');
    await button(page, 'Continue (2 waiting)').waitFor();
    await region(page, 'Events').getByText('Paused: 2 events wait.', { exact: true }).waitFor();
    assert.deepEqual(await shownData(page), ['before']);
    await button(page, 'Continue (2 waiting)').click();
    await button(page, 'Pause').waitFor();
    assert.deepEqual(await shownData(page), ['two', 'one', 'before']);
  }, { browser });
});

test('a filter hides what does not match, in old rows and new ones', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=sieve', server);
    await publish(page, { topic: 'sieve', data: 'Apple' });
    await publish(page, { topic: 'sieve', data: 'pear' });
    await page.getByLabel('Filter the events').fill('apple');
    const seen = () => rows(page).filter({ visible: true }).locator('.data').allTextContents();
    await region(page, 'Events').getByText('2 received, 1 match', { exact: true }).waitFor();
    assert.deepEqual(await seen(), ['Apple']);
    for (const data of ['plum', 'pineapple']) await publish(page, { topic: 'sieve', data }, { shown: false });
    await region(page, 'Events').getByText('4 received, 2 match', { exact: true }).waitFor();
    assert.deepEqual(await seen(), ['pineapple', 'Apple']);
    await page.getByLabel('Filter the events').fill('');
    assert.deepEqual(await until(seen, (shown) => shown.length === 4), ['pineapple', 'plum', 'pear', 'Apple']);
    await button(page, 'Clear').click();
    await region(page, 'Events').getByText('none yet', { exact: true }).waitFor();
    assert.equal(await rows(page).count(), 0);
  }, { browser });
});

test('the list is capped in rows, newest on top, and the page answers while thousands come', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=many', server);
    const batch = (from) => Array.from({ length: 1_000 }, (_, number) => JSON.stringify({ topics: 'many', data: `event ${from + number}` })).join('\n');
    for (let from = 0; from < 5_000; from += 1_000) {
      const answer = await fetch(`${server.url}/events`, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: batch(from) });
      assert.equal(answer.status, 200);
      await button(page, 'Pause').click();
      await page.getByRole('button', { name: /^Continue/ }).click();
    }
    await region(page, 'Events').getByText('5,000 received, the newest 500 kept', { exact: true }).waitFor();
    const shown = await until(() => shownData(page), ([newest]) => newest === 'event 4999');
    assert.deepEqual(shown, Array.from({ length: 500 }, (_, number) => `event ${4_999 - number}`));
  }, { browser });
});

test('the list is capped in bytes too', async () => {
  await withPage(async (page) => {
    await open(page, '?topic=heavy', server);
    for (let number = 0; number < 24; number++) await post(server, 'heavy', `${number} ${'x'.repeat(500_000)}`);
    await region(page, 'Events').getByText('24 received', { exact: true }).waitFor();
    const shown = await until(() => shownData(page), ([newest]) => newest?.startsWith('23 '));
    assert.ok(shown.length < 16 && shown.length > 10, `${shown.length} rows of half a megabyte`);
    const { data } = await opened(rows(page).first());
    assert.match(data, /^23 x+… \(500,003 characters\)$/);
  }, { browser });
});

test('a refused subscription is closed and says why', async () => {
  await withPage(async (page) => {
    await page.goto(`${server.url}/?topic=${'x'.repeat(5_000)}`);
    await isState(page, 'refused');
    await page.getByRole('banner').getByText(/topic.+ \(400 wrong request\)$/).waitFor();
    await notes(page, /refused: .+ \(400 wrong request\)/).waitFor();
    await subscribe(page, ['fine']);
    await isState(page, 'live');
    assert.equal(await page.getByRole('banner').getByText('wrong request').count(), 0);
  }, { browser, expected: REFUSED });
});

for (const [status, words] of [[403, 'forbidden'], [404, 'not found'], [410, 'gone'], [421, 'wrong host']]) {
  test(`a subscription refused with ${status} says so in words`, async () => {
    await withPage(async (page) => {
      const body = JSON.stringify({ status, title: 'x', detail: 'the reason of the hub' });
      await page.route(/\/events\?/, (route) => route.fulfill({ status, contentType: 'application/problem+json', body }));
      await page.goto(server.url);
      await isState(page, 'refused');
      await page.getByRole('banner').getByText(`the reason of the hub (${status} ${words})`, { exact: true }).waitFor();
    }, { browser, expected: REFUSED });
  });
}

test('a hub that is full for now is not closed for good', async () => {
  await withPage(async (page) => {
    let full = true;
    await page.route(/\/events\?/, (route) => {
      if (!full) return route.continue();
      const reader = route.request().headers().accept === 'text/event-stream'; // EventSource is told when to come back
      return route.fulfill(reader
        ? { status: 200, contentType: 'text/event-stream', body: 'retry: 200\n\n' }
        : { status: 503, contentType: 'application/problem+json', body: '{"status":503,"detail":"no place left"}' });
    });
    await page.goto(`${server.url}/?topic=full`);
    await page.getByRole('banner').getByText('the hub refuses for now: no place left (503 busy)', { exact: true }).waitFor();
    full = false;
    await isState(page, 'live');
    await notes(page, /reconnected: no place left \(503 busy\); waited/).waitFor();
  }, { browser, expected: REFUSED });
});
