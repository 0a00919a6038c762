// Readers that take every block for an event and parse its data, each on a stream with `bare=1`, with keep-alives and resumes: those of
// OpenAI's npm SDK and of the Vercel AI SDK as they are, and one by the rule of OpenAI's Python SDK.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonSchema, parseJsonEventStream } from '@ai-sdk/provider-utils';
import { Stream } from 'openai/streaming';
import { oyezBinary, startServer } from '../browser/lib/server.mjs';

/** By name: what makes an async iterable of values of a response. */
const READERS = {
  "OpenAI's npm SDK": (response) => Stream.fromSSEResponse(response, new AbortController()),
  'the Vercel AI SDK': aiSdk,
  "the rule of OpenAI's Python SDK": openAiPython,
};

for (const [name, read] of Object.entries(READERS)) {
  test(`${name} reads a bare stream over keep-alives and a resume to its end`, { timeout: 120_000 }, async (t) => {
    const { url } = await serve(t);
    const topic = `${url}/events/answers/1`;

    const first = await Reading.open(`${topic}?bare=1`, read);
    await first.silence();
    await publish(topic, { n: 1 });
    await first.has(1);
    // others' events pass it by, and an id was seen
    await publish(`${url}/events/other`, { n: 0 });
    await first.silence();
    await publish(topic, { n: 2 });
    await first.has(2);
    await first.silence();
    assert.deepEqual([first.values, first.error], [[{ n: 1 }, { n: 2 }], undefined]);
    await first.cut();

    await publish(topic, { n: 3 });
    const second = await Reading.open(`${topic}?bare=1`, read, first.lastId());
    assert.equal(second.gap, null);
    await second.has(1);
    await second.silence();
    await publish(`${topic}?end`, { n: 4 });
    await second.ended;
    assert.deepEqual([second.values, second.error], [[{ n: 3 }, { n: 4 }], undefined]);

    const third = await fetch(`${topic}?bare=1`, { headers: { 'Last-Event-ID': second.lastId() } });
    assert.equal(third.status, 204);
    const gap = await Reading.open(`${topic}?bare=1`, read, 'k0000000:1');
    await gap.ended;
    assert.deepEqual([gap.gap, gap.values.length, gap.error], ['epoch', 4, undefined]);
  });
}

test('the readers are strict: an ordinary stream is an error to two of them', { timeout: 120_000 }, async (t) => {
  const { url } = await serve(t);
  const topic = `${url}/events/answers/1`;
  await publish(`${topic}?end`, { n: 1 });
  const python = await Reading.open(topic, openAiPython);
  await python.ended;
  assert.match(String(python.error), /^SyntaxError/, 'the opening block has an id and no data');
  const vercel = await Reading.open(topic, aiSdk);
  await vercel.ended;
  assert.match(String(vercel.error), /no number/, 'the end has data of its own');
});

function serve(t) {
  return startServer([oyezBinary(), 'serve', '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--keep-alive', '50ms'], { t });
}

async function publish(url, value) {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(value) });
  assert.equal(answer.status, 200);
}

/** A stream that is being read, and the text of it that the reader was given. */
class Reading {
  values = [];
  error;
  #text = '';
  #cutter = new AbortController();
  #look = () => {};

  static async open(url, read, lastId) {
    const reading = new Reading();
    const headers = lastId ? { 'Last-Event-ID': lastId } : {};
    const response = await fetch(url, { headers, signal: reading.#cutter.signal });
    assert.equal(response.status, 200);
    reading.gap = response.headers.get('oyez-gap');
    const decoder = new TextDecoder();
    const noting = new TransformStream({
      transform: (chunk, controller) => {
        reading.#text += decoder.decode(chunk, { stream: true });
        controller.enqueue(chunk);
        reading.#look();
      },
    });
    reading.ended = reading.#run(read(new Response(response.body.pipeThrough(noting), { headers: response.headers })));
    return reading;
  }

  async #run(values) {
    try {
      for await (const value of values) {
        this.values.push(value);
        this.#look();
      }
    } catch (error) {
      if (!this.#cutter.signal.aborted) this.error = error;
    }
    this.#look();
  }

  /** Waits for so many values. */
  has(number) {
    return this.#until(() => this.values.length >= number);
  }

  /** Waits for two more keep-alives. */
  silence() {
    const before = this.#text.length;
    return this.#until(() => /:\n:\n$/.test(this.#text.slice(before)));
  }

  async cut() {
    this.#cutter.abort();
    await this.ended;
  }

  lastId() {
    return [...this.#text.matchAll(/^id: (.*)$/gm)].at(-1)[1];
  }

  #until(condition) {
    return new Promise((resolve, reject) => {
      this.#look = () => {
        if (condition()) resolve();
        else if (this.error) reject(this.error);
      };
      this.#look();
    });
  }
}

async function* aiSdk(response) {
  const validate = (value) =>
    typeof value?.n === 'number' ? { success: true, value } : { success: false, error: new Error(`no number in ${JSON.stringify(value)}`) };
  const results = parseJsonEventStream({ stream: response.body, schema: jsonSchema({ type: 'object' }, { validate }) });
  for await (const result of results) {
    if (!result.success) throw result.error;
    yield result.value;
  }
}

/** As openai-python's `SSEDecoder` and `Stream`: at an empty line there is an event if anything was seen, also an id of an earlier block. */
async function* openAiPython(response) {
  const decoder = new TextDecoder();
  let block = '';
  let [event, data, lastId, retry] = [null, [], '', null];
  for await (const chunk of response.body) {
    for (const line of decoder.decode(chunk, { stream: true }).match(/.*\n|.+$/g) ?? []) {
      block += line;
      if (!block.endsWith('\n\n')) continue;
      for (const field of block.slice(0, -1).split('\n')) {
        if (field === '') {
          if (event === null && data.length === 0 && lastId === '' && retry === null) continue;
          yield JSON.parse(data.join('\n'));
          [event, data, retry] = [null, [], null];
          continue;
        }
        if (field.startsWith(':')) continue;
        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(field);
        if (name === 'event') event = value;
        else if (name === 'data') data.push(value);
        else if (name === 'id') lastId = value;
        else if (name === 'retry') retry = Number(value);
      }
      block = '';
    }
  }
}
