// nginx and Apache in front of a hub, with the blocks of docs/behind-a-proxy.md as they are printed there.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const DOCS = await readFile(new URL('../../../docs/behind-a-proxy.md', import.meta.url), 'utf8');

/**
 * Starts the proxy `name` in front of `hub` and ends it after the test. With `hidden`, the line of its block that names the
 * same setting is the one that is printed for a hidden public name.
 */
export async function startProxy(t, name, hub, { hidden = false } = {}) {
  const folder = await mkdtemp(join(tmpdir(), `oyez-${name}-`));
  await chmod(folder, 0o755); // a server that is started as root gives up its rights
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [block, line] = printed(name);
  const port = await freePort();
  const site = moved(name, hidden ? withLine(block, line) : block, hub, port);
  const proxy = PROXIES[name];
  await writeFile(join(folder, 'site.conf'), site);
  await writeFile(join(folder, 'main.conf'), proxy.main(folder, port));
  await run(t, proxy.command(folder), port);
  return { url: `http://127.0.0.1:${port}` };
}

/** A port that nothing listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What stands around the block. It compresses whatever it may: the block has to keep streams out of that. */
const PROXIES = {
  nginx: {
    port: 'listen 80;',
    listen: (port) => `listen 127.0.0.1:${port};`,
    // one process, so that none is left over whatever ends the test
    command: (folder) => ['/usr/sbin/nginx', '-p', folder, '-c', 'main.conf', '-e', 'stderr'],
    main: (folder) => `
      daemon off; master_process off; pid nginx.pid; error_log stderr warn;
      events { worker_connections 256; }
      http {
        access_log off; gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;
        client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
        include site.conf;
      }`,
  },
  apache: {
    port: '*:80',
    listen: (port) => `127.0.0.1:${port}`,
    command: (folder) => ['/usr/sbin/apache2', '-X', '-d', folder, '-f', 'main.conf'], // -X: one process
    main: (folder, port) => `
      ${['mpm_event', 'authz_core', 'env', 'filter', 'deflate', 'proxy', 'proxy_http'].map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
      Listen 127.0.0.1:${port}
      ServerName localhost
      PidFile apache.pid
      DefaultRuntimeDir .
      Mutex pthread
      ErrorLog error.log
      LogLevel warn
      ${process.getuid() === 0 ? 'User www-data\n      Group www-data' : ''}
      AddOutputFilterByType DEFLATE text/event-stream
      Include site.conf`,
  },
};

/** The block for the proxy, and the line that hides the public name. */
function printed(name) {
  const blocks = [...DOCS.matchAll(new RegExp(`^\`\`\`${name}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block]) => block);
  assert.equal(blocks.length, 2, `a block and a line for ${name}`);
  return blocks;
}

/** On the ports of the test. */
function moved(name, block, hub, port) {
  const proxy = PROXIES[name];
  let site = block;
  for (const [from, to] of [[proxy.port, proxy.listen(port)], ['http://127.0.0.1:8888', hub.url]]) {
    assert.equal(site.split(from).length, 2, `${from} stands once in the block for ${name}`);
    site = site.replace(from, to);
  }
  return site;
}

function withLine(block, line) {
  const setting = line.slice(0, line.lastIndexOf(' '));
  const lines = block.split('\n');
  const at = lines.findIndex((printed) => printed.startsWith(`${setting} `));
  assert.ok(at >= 0, `the block has a line with ${setting}`);
  lines[at] = line.trimEnd();
  return lines.join('\n');
}

/** Resolves as soon as the port answers. */
async function run(t, [program, ...args], port) {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let [errors, ended] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text) => { errors += text; });
  const exit = new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? `status ${code}`));
  });
  exit.then((how) => { ended = how; });
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  t.after(async () => {
    process.off('exit', end);
    end();
    await exit;
  });
  for (let tries = 0; !await answers(port); tries++) {
    if (ended || tries > 1_000) throw new Error(`${program} does not listen (${ended}); it printed:\n${errors}`);
    await pause(10);
  }
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}
