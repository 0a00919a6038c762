// A process that keeps a hub as busy as it can be: many readers, which throw away what they read, and publishers that wait for
// nothing but their answers.
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { answer } from './remote.mjs';

const PUBLISHERS = 4;

const counts = { readers: 0, bytes: 0, published: 0 };

answer({
  /** Resolves when all readers are connected and the first batch is published; the rest goes on. */
  async begin({ url, topic, readers, bytes, batch }) {
    await Promise.all(Array.from({ length: readers }, () => read(new URL(`/events/${topic}`, url))));
    const lines = `${JSON.stringify({ topics: [topic], data: 'x'.repeat(bytes) })}\n`.repeat(batch);
    const publish = publisher(new Agent({ keepAlive: true }), url, lines, batch);
    await publish();
    for (let number = 0; number < PUBLISHERS; number++) publishOn(publish).catch(() => {});
  },

  counts: () => counts,
});

/** Opens a stream; resolves when it has begun. */
function read(url) {
  return new Promise((resolve, reject) => {
    const take = (number) => {
      counts.bytes += number;
      resolve();
    };
    const socket = connect({ host: url.hostname, port: url.port, onread: { buffer: SCRATCH, callback: take } });
    socket.once('connect', () => { counts.readers++; }).on('error', reject).on('close', () => { counts.readers--; });
    socket.write(`GET ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`);
  });
}

async function publishOn(publish) {
  // fails when the hub ends: that it goes on is for the test to see
  for (;;) await publish();
}

/** A function that publishes the `events` in `body`. */
function publisher(agent, url, body, events) {
  return () => new Promise((resolve, reject) => {
    const asked = request(`${url}/events`, { method: 'POST', agent, headers: { 'content-type': 'application/x-ndjson' } }, (response) => {
      response.resume().on('error', reject).on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`status ${response.statusCode}`));
        counts.published += events;
        return resolve();
      });
    });
    asked.on('error', reject).end(body);
  });
}

const SCRATCH = Buffer.alloc(256 << 10); // of all readers: nobody looks
