// A thousand readers are fed on one topic as fast as the hub can: it still takes new streams and serves other topics.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';
import { until } from './lib/process.mjs';
import { startRemote } from './lib/remote.mjs';
import { ask, Stream } from './lib/stream.mjs';

const LONG = process.env.OYEZ_TEST_LONG === '1';
// in the long form the readers fall behind, each to another place: then every visit is as long as it may be
const READERS = LONG ? 3_000 : 1_000;
const FLOOD = LONG ? { bytes: 500, batch: 200 } : { bytes: 100, batch: 10 };
const PROBES = LONG ? 50 : 5;
const PATIENCE_SECONDS = 60; // no bound on fairness: one on starving, on the slowest machine

test(`while ${READERS} readers are fed at full speed, new streams open and other topics are delivered`, { timeout: 300_000 }, async (t) => {
  const server = await startServer([oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--slow', 'skip'], { t });
  const url = `${server.url}/events/quiet`;
  const flood = await startRemote(t, './flood.mjs');
  const streams = [new Stream(url)];
  await streams[0].opened;
  await flood.begin({ url: server.url, topic: 'busy', readers: READERS, ...FLOOD });

  const times = { open: [], publish: [], deliver: [] };
  for (let number = 1; number <= PROBES; number++) {
    const before = await flood.counts();
    const stream = new Stream(url);
    streams.push(stream);
    const opens = await until(() => stream.head, { what: 'a new stream opens', within: PATIENCE_SECONDS });
    const begin = performance.now();
    await ask(url, { method: 'POST', body: `${number} ` });
    times.publish.push((performance.now() - begin) / 1_000);
    const delivers = await until(() => streams[0].last === number && stream.last === number, { what: `event ${number} on another topic`, within: PATIENCE_SECONDS });
    times.open.push(opens.seconds);
    times.deliver.push(delivers.seconds);
    // and not because nobody else had anything to get
    await until(async () => {
      const { bytes, published } = await flood.counts();
      return bytes > before.bytes + READERS * 500 && published > before.published;
    }, { what: 'the flood goes on', within: PATIENCE_SECONDS, look: flood.counts });
  }
  for (const [index, stream] of streams.entries()) assert.ok(stream.hasAll(index || 1, PROBES), JSON.stringify(stream.summary));
  const { readers, bytes, published } = await flood.counts();
  assert.equal(readers, READERS, 'nobody was cut');
  const worst = Object.entries(times).map(([what, seconds]) => `${what} ${(Math.max(...seconds) * 1_000).toFixed(0)} ms`);
  t.diagnostic(`at worst: ${worst.join(', ')}; ${(bytes / 1e9).toFixed(1)} GB of ${published} events read meanwhile`);
});
