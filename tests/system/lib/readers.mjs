// Readers and publishers as a process of their own, which `network.mjs` starts among the peers.
import { setTimeout as pause } from 'node:timers/promises';
import { answer } from './remote.mjs';
import { ask, samples, Stream } from './stream.mjs';

const groups = new Map();
const publishing = new Map();

answer({
  /** Opens so many streams. Resolves when all are connected and, if they read, have their heads. */
  async open({ group, number, url, ...how }) {
    const streams = Array.from({ length: number }, () => new Stream(url, how));
    groups.set(group, streams);
    await Promise.all(streams.map((stream) => (how.reads === false ? stream.connected : stream.opened)));
  },

  /** Writes to each of them. */
  write({ group, text }) {
    for (const { socket } of groups.get(group)) socket.write(text);
  },

  resume(group) {
    for (const stream of groups.get(group)) stream.resume();
  },

  report(group) {
    return groups.get(group).map((stream) => stream.summary);
  },

  /** Publishes events `FROM …`, `FROM + 1 …` and so on, of so many bytes beside the number; resolves when all are acknowledged. */
  async publish({ url, from, number, bytes, fill = 'x' }) {
    for (let n = from; n < from + number; n++) await ask(url, { method: 'POST', body: `${n} ${fill.repeat(bytes)}` });
  },

  /** Publishes an event every so often, from 1 on, until `publishNoMore`. */
  publishFrom1({ url, everyMs }) {
    const state = { number: 0, goes: true };
    const run = async () => {
      while (state.goes) {
        await ask(url, { method: 'POST', body: `${++state.number} ` });
        await pause(everyMs);
      }
      return state.number;
    };
    const done = run();
    done.catch(() => {}); // for who asks for the last one to see
    publishing.set(url, { state, done });
  },

  /** Resolves to the number of the last event. */
  publishNoMore(url) {
    const { state, done } = publishing.get(url);
    state.goes = false;
    return done;
  },

  async metrics(admin) {
    return samples(await ask(`${admin}/metrics`));
  },
});
