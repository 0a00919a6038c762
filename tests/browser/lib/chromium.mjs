// Chromium for the browser tests: Debian's, in a profile of its own, and a page that fails the test by itself.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

/**
 * Starts a browser with a temporary profile, which goes with it. Close it, or use `withPage`.
 * Its contexts and pages are playwright's.
 */
export function launch() {
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
}

/**
 * Runs `body(page)` with a fresh page and closes it afterwards: in a browser of its own, or in `browser`, where it still
 * shares neither cookies nor connections with other pages.
 *
 * Throws as soon as the page logs an error, throws without a catch, breaks its content-security policy or crashes, so that
 * the cause is reported and not the time-out that follows from it. `expected` lists patterns of errors that belong to the
 * test, such as `/ERR_CONNECTION_REFUSED/` while a hub restarts. `device` is what playwright's contexts take, for a phone for
 * instance.
 */
export async function withPage(body, { browser, expected = [], device } = {}) {
  const own = browser ? undefined : await launch();
  const context = await (browser ?? own).newContext(device);
  try {
    const page = await context.newPage();
    const faults = await watch(page, expected);
    await Promise.race([body(page), faults.first]);
    await page.evaluate(() => new Promise(requestAnimationFrame)).catch(() => {}); // lets what is on its way arrive
    assert.deepEqual(faults.seen, [], 'the page reported errors');
  } finally {
    await context.close();
    await own?.close();
  }
}

/** Collects the faults of a page that a test opened by itself: `{ seen, first }`, where `first` rejects at the first one. */
export async function watch(page, expected = []) {
  const seen = [];
  let reject;
  const first = new Promise((_, no) => { reject = no; });
  first.catch(() => {}); // whoever races against it hears of it; nobody has to
  const fault = (text) => {
    if (expected.some((pattern) => pattern.test(text))) return;
    seen.push(text);
    reject(new assert.AssertionError({ message: `the page reported an error: ${text}` }));
  };
  page.on('console', (message) => {
    if (message.type() === 'error') fault(`${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => fault(`not caught: ${error}`));
  page.on('crash', () => fault('the page crashed'));
  // Chromium logs most violations; the event also comes for those that it only reports.
  await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (violation) => {
    console.error(`content-security policy: ${violation.effectiveDirective} refuses ${violation.blockedURI}`);
  }));
  return { seen, first };
}

const CHROMIUM = '/usr/bin/chromium';

// No sandbox: continuous integration runs as root. No QUIC and no background traffic: a test talks to its own hub only.
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-quic',
  '--no-first-run',
  '--disable-component-update',
  '--disable-sync',
];
