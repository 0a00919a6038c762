// The helpers themselves: a check that cannot fail proves nothing, so each of them is made to fail once.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { launch, withPage } from './lib/chromium.mjs';
import { startServer } from './lib/server.mjs';

const POLICY = "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'";
const PAGES = {
  '/good': '<!doctype html><html lang="en"><title>good</title><p>hello</p><script>document.title = "ran"</script>',
  '/logs': '<!doctype html><title>x</title><script>console.error("planted")</script>',
  '/throws': '<!doctype html><title>x</title><script>setTimeout(() => { throw new Error("planted") })</script>',
  '/rejects': '<!doctype html><title>x</title><script>Promise.reject(new Error("planted"))</script>',
  '/image': '<!doctype html><title>x</title><img src="/other.png">',
  '/fetch': '<!doctype html><title>x</title><script>fetch("/missing")</script>',
  '/style': '<!doctype html><title>x</title><p style="color: red">styled</p>',
};

let origin;
let browser;
const site = createServer((request, response) => {
  const page = PAGES[request.url];
  if (page) response.writeHead(200, { 'content-type': 'text/html', 'content-security-policy': POLICY }).end(page);
  else if (request.url === '/favicon.ico') response.writeHead(204).end();
  else if (request.url === '/events') response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: one\n\n');
  else response.writeHead(404).end();
});
before(async () => {
  browser = await launch();
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${site.address().port}`;
});
after(async () => {
  await browser.close();
  site.closeAllConnections();
  site.close();
});

test('a good page passes, and reads an event stream', async () => {
  await withPage(async (page) => {
    await page.goto(`${origin}/good`);
    assert.equal(await page.title(), 'ran');
    const data = await page.evaluate(() => new Promise((resolve) => {
      new EventSource('/events').onmessage = (event) => resolve(event.data);
    }));
    assert.equal(data, 'one');
  });
});

for (const [path, pattern] of [
  ['/logs', /planted/],
  ['/throws', /not caught: .*planted/],
  ['/rejects', /not caught: .*planted/],
  ['/image', /Content.Security.Policy|content-security policy: img-src/i],
  ['/style', /Content.Security.Policy|content-security policy: style-src/i],
  ['/fetch', /404/],
]) {
  test(`a page with a fault fails at once: ${path}`, async () => {
    const never = new Promise(() => {});
    await assert.rejects(withPage(async (page) => { await page.goto(origin + path); await never; }, { browser }), pattern);
  });
}

test('a fault in the last moment of the body still fails', async () => {
  await assert.rejects(withPage((page) => page.goto(`${origin}/logs`), { browser }), /planted/);
});

test('an expected error passes', async () => {
  await withPage((page) => page.goto(`${origin}/logs`), { browser, expected: [/planted/] });
});

const FAKE = `
  console.log('listening on http://127.0.0.1:4001');
  setTimeout(() => console.log('admin on http://127.0.0.1:4002'), 20);
  console.error('started');
  const life = setInterval(() => {}, 1000);
  process.on('SIGTERM', () => { console.error('draining'); if (!process.env.STUBBORN) clearInterval(life); });
`;
const fake = (program = FAKE) => [process.execPath, '-e', program];

test('a server is started, read and stopped in good order', async (t) => {
  const server = await startServer(fake(), { t });
  assert.equal(server.url, 'http://127.0.0.1:4001');
  assert.equal(server.admin, 'http://127.0.0.1:4002');
  assert.ok(runs(server.pid));
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  assert.match(server.logs, /draining/);
  assert.ok(!runs(server.pid));
});

test('a killed server is gone, twice is once, and stop afterwards tells how it ended', async (t) => {
  const server = await startServer(fake(), { t });
  assert.deepEqual(await server.kill(), { code: null, signal: 'SIGKILL' });
  assert.deepEqual(await server.kill(), { code: null, signal: 'SIGKILL' });
  assert.deepEqual(await server.stop(), { code: null, signal: 'SIGKILL' });
});

test('a server that does not drain in time is killed and an error', async (t) => {
  const server = await startServer(fake(), { t, env: { STUBBORN: '1' } });
  await assert.rejects(server.stop({ within: 300 }), /still running 300 ms after SIGTERM/);
  assert.ok(!runs(server.pid));
});

test('a server that exits, says nothing or does not exist is an error with its output', async () => {
  await assert.rejects(startServer(fake('console.error("no such flag"); process.exit(2)')), /status 2[^]*no such flag/);
  await assert.rejects(startServer(fake('setInterval(() => {}, 1000)'), { within: 300 }), /300 ms passed/);
  await assert.rejects(startServer(['/nonexistent/oyez', 'serve']), /ENOENT/);
});

for (const [end, how] of [["process.exit(1)", 'exits'], ["throw new Error('x')", 'throws'], ["process.kill(process.pid, 'SIGTERM')", 'is terminated']]) {
  test(`a test process that ${how} leaves no server behind`, async () => {
    const url = new URL('./lib/server.mjs', import.meta.url);
    const program = `import { startServer } from '${url}';
      const server = await startServer(${JSON.stringify(fake())});
      console.log(server.pid); ${end};`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'ignore'] });
    let pid = '';
    for await (const text of child.stdout.setEncoding('utf8')) pid += text;
    assert.match(pid, /^\d+\n$/);
    await gone(Number(pid));
  });
}

// A process that has ended and that nobody has collected yet still answers signal 0; /proc knows better.
function runs(pid) {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function gone(pid) {
  const end = Date.now() + 5_000;
  while (runs(pid)) {
    assert.ok(Date.now() < end, `process ${pid} still runs`);
    await pause(10);
  }
}
