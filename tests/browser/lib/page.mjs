// The hub's page as a person sees it: by roles, labels and words.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { oyezBinary } from './server.mjs';

/** What Chromium logs for each answer of that kind, whatever the page makes of it. */
export const REFUSED = [/status of [45]\d\d/];

/** What Chromium logs when a hub goes away. */
export const CUT = [/ERR_CONNECTION_REFUSED/, /ERR_INCOMPLETE_CHUNKED_ENCODING/, /ERR_CONNECTION_RESET/, /ERR_EMPTY_RESPONSE/];

/** The command that starts a hub, on a port of the system's choice. */
export function serve({ listen = '127.0.0.1:0', more = [] } = {}) {
  return [oyezBinary(), 'serve', '--listen', listen, '--admin', '127.0.0.1:0', ...more];
}

/** Opens the page of a hub and waits until its stream is live. */
export async function open(page, query, { url }) {
  await page.goto(`${url}/${query}`);
  await isState(page, 'live');
}

export const region = (page, name) => page.getByRole('region', { name, exact: true });

export function isState(page, word) {
  return page.getByRole('banner').getByRole('status').getByText(word, { exact: true }).waitFor();
}

// --- subscribe

export const topicEntry = (page) => region(page, 'Subscribe').getByLabel('Topics', { exact: true });

/** The topics that are chosen. */
export function chips(page) {
  return page.getByRole('list', { name: 'Topics subscribed to' }).getByRole('listitem').locator('span').allTextContents();
}

export async function subscribe(page, topics) {
  for (const name of await chips(page)) await page.getByRole('button', { name: `Remove topic ${name}`, exact: true }).click();
  for (const name of topics) {
    await topicEntry(page).fill(name);
    await topicEntry(page).press('Enter');
  }
  await applyButton(page).click();
}

/** The one button that makes a subscription of what the form says. */
export const applyButton = (page) => region(page, 'Subscribe').getByRole('button', { name: /^(Subscribe|Subscribe again|Apply)$/ });

export const button = (page, name) => page.getByRole('button', { name, exact: true });

// --- publish

export async function fill(page, { topic, type = '', key = '', id = '', retry = '', ttl = '', end = false, data = '' }) {
  const form = region(page, 'Publish');
  await form.getByLabel('To topics, comma between').fill(topic);
  await form.getByLabel('Type', { exact: true }).fill(type);
  await form.getByLabel('Key', { exact: true }).fill(key);
  if (id || retry || ttl || end) await more(page);
  if (await form.getByLabel('Retry, ms').isVisible()) {
    await form.getByLabel('Id', { exact: true }).fill(id);
    await form.getByLabel('Retry, ms').fill(retry);
    await form.getByLabel('Expires after').fill(ttl);
    await form.getByLabel('It is the last: the topic ends after it').setChecked(end);
  }
  await form.getByLabel('Data').fill(data);
}

/** Opens what few need. */
export async function more(page) {
  const form = region(page, 'Publish');
  if (!await form.getByLabel('Retry, ms').isVisible()) await form.getByText('Id, retry, expiry, end, delete', { exact: true }).click();
}

/** Publishes what is in the form by Ctrl+Enter; resolves to what the page answers. */
export async function send(page) {
  const answer = region(page, 'Publish').getByRole('status');
  await page.evaluate(() => { document.getElementById('answer').textContent = ''; }); // the next answer, not the last one
  await region(page, 'Publish').getByLabel('Data').press('Control+Enter');
  const done = answer.filter({ hasText: /^(published as|refused|the hub|given up)/ });
  await done.waitFor();
  return done.textContent();
}

/** Publishes; resolves to the id, once the event is in the list. */
export async function publish(page, wanted, { shown = true } = {}) {
  await fill(page, wanted);
  const words = await send(page);
  const id = words.match(/^published as (\S+) in \d+ ms(?:; .+ has ended)?$/)?.[1];
  assert.ok(id, words);
  if (shown) await rowOf(page, id).waitFor();
  return id;
}

/** Publishes without the page; resolves to the hub's answer. */
export async function post({ url }, path, body) {
  const answer = await fetch(`${url}/events/${path}`, { method: 'POST', body });
  assert.equal(answer.status, 200);
  return answer.json();
}

// --- events

export const list = (page) => page.getByRole('list', { name: 'Events, newest first' });

/** All rows of events, without the lines that the page adds. */
export const rows = (page) => list(page).locator('details');

export function rowOf(page, id) {
  return rows(page).filter({ has: page.getByText(id, { exact: true }) });
}

/** Lines that the page adds: reconnections, gaps. */
export const notes = (page, words) => list(page).getByRole('listitem').filter({ hasNot: page.locator('details'), hasText: words });

/** The row's parts: time, type, topics, data on one line, id, size, lag. */
export async function parts(row) {
  const names = ['time', 'type', 'topics', 'data', 'id', 'size', 'lag'];
  await row.waitFor();
  const texts = await row.locator('summary > *').allTextContents();
  return Object.fromEntries(names.map((name, index) => [name, texts[index]]));
}

/** Opens a row; resolves to what it then shows: the data, and the frame with its line ends made plain. */
export async function opened(row) {
  await row.locator('summary').click();
  await row.locator('pre').last().waitFor();
  const [data, frame] = await row.locator('pre').allTextContents();
  return { data, frame };
}

/** The data of every row, newest first, as far as a line shows it. */
export const shownData = (page) => rows(page).locator('.data').allTextContents();

// --- outside of the page

/** What a command prints, run as a person would who has pasted it. */
export async function shell(line) {
  return (await promisify(execFile)('bash', ['-c', line], { timeout: 20_000 })).stdout;
}

/** The text that a Copy button hands out. */
export async function copied(page, name) {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.bringToFront(); // the clipboard is for the page that has the focus
  await page.evaluate(() => navigator.clipboard.writeText(''));
  await button(page, name).click();
  return until(() => page.evaluate(() => navigator.clipboard.readText()), Boolean);
}

/** Waits until `read()` gives something for which `enough` holds; resolves to it. */
export async function until(read, enough, withinMs = 60_000) {
  const end = performance.now() + withinMs;
  for (;;) {
    const value = await read();
    if (enough(value)) return value;
    if (performance.now() > end) throw new Error(`${withinMs} ms passed; the last value is ${JSON.stringify(value)}`);
    await new Promise((next) => setTimeout(next, 20));
  }
}
