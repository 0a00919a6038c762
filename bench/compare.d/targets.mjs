// Who is measured, how it is started and where it is reached. `lacks` says what it cannot do, and why.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { PEERS } from './folders.mjs';
import { Program, answers, children, freePort } from './program.mjs';

const NCHAN = '/usr/lib/nginx/modules/ngx_nchan_module.so';
const NGINX = '/usr/sbin/nginx';
const ONE_EVENT_A_REQUEST = 'it takes one event a request';
const KEEPS_NOTHING = 'it keeps no history to resume from';

export const TARGETS = [
  {
    name: 'oyez',
    title: '`oyez serve`, the release binary',
    isRust: false,
    start: (bins) => listening([join(bins, 'oyez'), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']),
    reach: ({ url }, row) => ({
      subscribe: row.options['topics-each'] ? `${url}/events?topic={topic}` : `${url}/events/{topic}`,
      publish: `${url}/events/{topic}`,
      'topic-separator': '&topic=',
    }),
    lacks: {},
  },
  {
    name: 'floor',
    title: 'one thread, epoll, a canned head, one `send` for each socket and event, nothing else',
    isRust: true,
    start: (bins) => listening([join(bins, 'floor')]),
    reach: plain,
    lacks: { resume: KEEPS_NOTHING },
  },
  {
    name: 'axum-broadcast',
    title: 'axum `Sse` on a `tokio::sync::broadcast` channel for each topic',
    isRust: true,
    start: (bins) => listening([join(bins, 'axum_broadcast')]),
    reach: plain,
    lacks: { resume: KEEPS_NOTHING, batch: ONE_EVENT_A_REQUEST },
  },
  {
    name: 'oyez-axum',
    title: 'a small axum app with our hub, under `axum::serve`',
    isRust: true,
    start: (bins) => listening([join(bins, 'app'), 'axum']),
    reach: plain,
    lacks: { batch: ONE_EVENT_A_REQUEST },
  },
  {
    name: 'oyez-serve',
    title: 'the same app under `oyez::serve`',
    isRust: true,
    start: (bins) => listening([join(bins, 'app'), 'oyez']),
    reach: plain,
    lacks: { batch: ONE_EVENT_A_REQUEST },
  },
  {
    name: 'nchan',
    title: 'nginx with the module nchan, one process',
    needs: [[NGINX, 'nginx-light'], [NCHAN, 'libnginx-mod-nchan']],
    start: startNchan,
    reach: ({ url }) => ({ subscribe: `${url}/sub/{topic}`, publish: `${url}/pub/{topic}`, 'topic-separator': ',' }),
    lacks: { batch: ONE_EVENT_A_REQUEST },
  },
  {
    name: 'pushpin',
    title: 'Pushpin with condure and zurl, four processes, in front of an origin that holds every stream',
    needs: [['pushpin', 'pushpin'], ['condure', 'condure'], ['zurl', 'zurl']],
    start: startPushpin,
    roundsMax: 1, // it takes longer than all the others together
    reach: ({ url, control }) => ({
      subscribe: `${url}/{topic}`,
      publish: `${control}/publish/`,
      'publish-body': '{"items":[{"channel":"{topic}","formats":{"http-stream":{"content":"data: {data}\\n\\n"}}}]}',
      'topic-separator': ',',
      opening: 16, // of 128 it refuses many, and of 32 some: its parts time each other out
    }),
    lacks: { batch: 'its batch is one JSON array, which `oyez bench` does not write', resume: 'its origin would have to keep the history' },
  },
  {
    name: 'node',
    title: 'plain `node:http`, a `Set` of responses for each topic',
    start: () => listening([process.execPath, join(PEERS, 'node.mjs')]),
    reach: plain,
    lacks: { resume: KEEPS_NOTHING, batch: ONE_EVENT_A_REQUEST },
  },
  {
    name: 'go',
    title: '`net/http` with the library go-sse, its provider Joe',
    isGo: true,
    needs: [['go', '']],
    install: 'Go, as new as bench/peers/go/go.mod says, from https://go.dev/dl/', // Debian 12 has 1.19
    start: (bins, row) => listening([join(bins, 'go-sse'), ...(row.needs === 'resume' ? ['replay'] : [])]),
    reach: plain,
    lacks: { batch: ONE_EVENT_A_REQUEST },
  },
];

/** What has to be installed for `targets`, a line for each that lacks something. */
export function missing(targets) {
  return targets.flatMap(({ name, needs = [], install = 'apt-get install -y --no-install-recommends' }) => {
    const packages = needs.filter(([file]) => !isThere(file)).map(([, name]) => name);
    return packages.length > 0 ? [`${name}: ${install} ${packages.join(' ')}`.trim()] : [];
  });
}

function isThere(file) {
  return file.startsWith('/') ? existsSync(file) : process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, file)));
}

function plain({ url }) {
  return { subscribe: `${url}/{topic}`, publish: `${url}/{topic}`, 'topic-separator': ',' };
}

/** A server of one process that says where it listens. */
async function listening(command) {
  const program = new Program(command);
  try {
    const [, url] = await program.until(() => program.output.match(/^listening on (http:\/\/\S+)$/m));
    return { url, pids: [program.pid], programs: [program], stop: () => program.kill() };
  } catch (error) {
    await program.kill();
    throw error;
  }
}

async function startNchan(_bins, row) {
  const folder = mkdtempSync(join(tmpdir(), 'oyez-compare-'));
  const port = await freePort();
  // as many as a resume reads back; else what nchan keeps by itself
  const history = row.needs === 'resume' ? `nchan_message_buffer_length ${row.options.events};` : '';
  writeFileSync(join(folder, 'main.conf'), `
    daemon off; master_process off; pid nginx.pid; error_log stderr warn; # one process, so that none is left over
    load_module ${NCHAN};
    worker_rlimit_nofile 20000;
    events { worker_connections 19000; }
    http {
      access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; nchan_shared_memory_size 512m;
      client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
      server {
        listen 127.0.0.1:${port} backlog=4096;
        location ~ ^/sub/(.+)$ {
          nchan_subscriber eventsource; nchan_subscriber_first_message newest;
          nchan_channel_id $1; nchan_channel_id_split_delimiter ",";
        }
        location ~ ^/pub/(.+)$ { nchan_publisher; nchan_channel_id $1; ${history} }
      }
    }`);
  const program = new Program([NGINX, '-p', folder, '-c', 'main.conf', '-e', 'stderr']);
  const stop = async () => {
    await program.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await program.until(() => answers(port));
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `http://127.0.0.1:${port}`, pids: [program.pid], programs: [program], stop };
}

/** Debian's own configuration, moved to a folder of its own, without a limit on the rate of events. */
async function startPushpin() {
  const folder = mkdtempSync(join(tmpdir(), 'oyez-compare-'));
  const [port, controlPort] = [await freePort(), await freePort()];
  const origin = createServer((request, response) => {
    const channels = request.url.slice(1).split(',').join(', ');
    response.writeHead(200, { 'content-type': 'text/event-stream', 'grip-hold': 'stream', 'grip-channel': channels }).end(':\n\n');
  });
  origin.keepAliveTimeout = 3_600_000; // else it closes a connection just when zurl sends another request over it
  await new Promise((resolve) => origin.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, resolve));
  const at = (name) => `ipc://${folder}/${name}`;
  const zurl = ['zurl_out_specs zurl-in', 'zurl_out_stream_specs zurl-in-stream', 'zurl_in_specs zurl-out'];
  writeConfiguration('/etc/pushpin/pushpin.conf', join(folder, 'pushpin.conf'), {
    rundir: folder,
    logdir: folder,
    log_level: 1,
    services: 'condure,pushpin-proxy,pushpin-handler',
    http_port: `127.0.0.1:${port}`,
    push_in_spec: at('push'),
    push_in_sub_specs: at('sub'),
    command_spec: at('command'),
    push_in_http_port: controlPort,
    message_rate: 1_000_000_000,
    message_hwm: 1_000_000_000,
    '[proxy]': `[proxy]\n${zurl.map((line) => line.split(' ')).map(([key, name]) => `${key}=${at(name)}`).join('\n')}`,
  });
  writeFileSync(join(folder, 'routes'), `* 127.0.0.1:${origin.address().port}\n`);
  mkdirSync(join(folder, 'zurl'));
  writeFileSync(join(folder, 'zurl.conf'), `[General]
in_spec=${at('zurl-in')}
in_stream_spec=${at('zurl-in-stream')}
out_spec=${at('zurl-out')}
in_req_spec=${at('zurl-req')}
defpolicy=allow
max_open_requests=20000
buffer_size=200000
timeout=600
in_hwm=1000
out_hwm=1000
`);
  const programs = [new Program(['zurl', `--config=${folder}/zurl.conf`]), new Program(['pushpin', `--config=${folder}/pushpin.conf`])];
  const stop = async () => {
    await Promise.all(programs.map((program) => program.stop()));
    origin.closeAllConnections?.();
    await new Promise((resolve) => origin.close(resolve));
    rmSync(folder, { recursive: true, force: true });
  };
  const [fetcher, runner] = programs;
  const url = `http://127.0.0.1:${port}`;
  try {
    await runner.until(async () => (await answers(port)) && (await answers(controlPort)) && children(runner.pid).length === 3);
    // it accepts before its parts know each other, and what it asks zurl until then is not answered
    await runner.until(() => isReady(url));
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, control: `http://127.0.0.1:${controlPort}`, pids: [fetcher.pid, ...children(runner.pid)], programs, stop };
}

async function isReady(url) {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(500) });
    await response.body.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

function writeConfiguration(from, to, values) {
  const text = readFileSync(from, 'utf8');
  const changed = Object.entries(values).reduce((text, [key, value]) => {
    const [place, line] = key.startsWith('[') ? [key, value] : [`${key}=`, `${key}=${value}`];
    const lines = text.split('\n');
    const at = lines.findIndex((found) => found.startsWith(place));
    if (at < 0) throw new Error(`${from} has no line ${place}`);
    lines[at] = line;
    return lines.join('\n');
  }, text);
  writeFileSync(to, changed);
}
