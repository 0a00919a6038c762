// What is measured: a scenario of `oyez bench` with its options. `needs` is what not every server can do; `apart` keeps the
// server to the first processor and the load to the second.
//
// A throughput at full speed has so many events in flight that a server which answers before it has delivered is always busy,
// and can deliver them within seconds.

/** CPU time for each delivery, and how fast and how late they come. */
const DELIVERIES = {
  main: ['server_cpu_s_per_million', 'CPU s per million'],
  others: [['deliveries_per_s', 'deliveries/s'], ['latency_p50_ms', 'p50 ms'], ['latency_p99_ms', 'p99 ms']],
};
const PACED = { ...DELIVERIES, others: [...DELIVERIES.others, ['latency_p99_ms', 'p99 ms, quartiles', 'quartiles']] };

export const ROWS = [
  {
    name: 'idle-10000',
    title: '10,000 idle subscribers: memory of the process',
    scenario: 'idle',
    options: { subscribers: 10_000, duration: '1s', timeout: '30s' },
    rounds: 3,
    fresh: true, // a server keeps memory that it once had
    figures: { main: ['memory_per_subscriber_bytes', 'bytes each'], others: [['opened_per_s', 'opened/s']] },
  },
  {
    name: 'light-1000',
    title: '1,000 subscribers, 20 events/s',
    scenario: 'fanout',
    options: { subscribers: 1_000, rate: 20, duration: '2500ms', warmup: '300ms' },
    rounds: 9,
    figures: PACED,
  },
  {
    name: 'light-1000-apart',
    title: '1,000 subscribers, 20 events/s, server and load on a processor each',
    scenario: 'fanout',
    options: { subscribers: 1_000, rate: 20, duration: '2500ms', warmup: '300ms' },
    rounds: 9,
    apart: true,
    note: 'As if the readers were on another machine: they do not take turns with the server on its processor.',
    figures: PACED,
  },
  {
    name: 'light-10000',
    title: '10,000 subscribers, 2 events/s',
    scenario: 'fanout',
    options: { subscribers: 10_000, rate: 2, duration: '3s', warmup: '500ms', timeout: '30s' },
    rounds: 9,
    figures: PACED,
  },
  {
    name: 'full-1000',
    title: '1,000 subscribers, full speed, an event a request',
    scenario: 'throughput',
    options: { subscribers: 1_000, duration: '1500ms', warmup: '300ms' },
    rounds: 5,
    figures: DELIVERIES,
  },
  {
    name: 'full-1000-batch',
    title: '1,000 subscribers, full speed, 100 events a request',
    scenario: 'throughput',
    options: { subscribers: 1_000, duration: '1500ms', warmup: '300ms', batch: 100 },
    rounds: 5,
    needs: 'batch',
    floor: { batch: 1 },
    note: 'The floor takes one event a request, here as well.',
    figures: DELIVERIES,
  },
  {
    name: 'full-10000',
    title: '10,000 subscribers, full speed, an event a request',
    scenario: 'throughput',
    options: { subscribers: 10_000, duration: '1500ms', warmup: '300ms', window: 100, timeout: '30s' },
    rounds: 5,
    figures: DELIVERIES,
  },
  {
    name: 'topics-100x100',
    title: '100 topics with 100 subscribers each, full speed',
    scenario: 'throughput',
    options: { subscribers: 10_000, topics: 100, duration: '1500ms', warmup: '300ms', timeout: '30s' },
    rounds: 5,
    figures: DELIVERIES,
  },
  {
    name: 'multi-1000x10of1000',
    title: '1,000 subscribers on 10 of 1,000 topics each, full speed',
    scenario: 'throughput',
    options: { subscribers: 1_000, topics: 1_000, 'topics-each': 10, duration: '1500ms', warmup: '300ms' },
    rounds: 5,
    figures: DELIVERIES,
  },
  {
    name: 'multi-1000x10of1000-batch',
    title: '1,000 subscribers on 10 of 1,000 topics each, full speed, 100 events a request',
    scenario: 'throughput',
    options: { subscribers: 1_000, topics: 1_000, 'topics-each': 10, duration: '1500ms', warmup: '300ms', batch: 100 },
    rounds: 5,
    needs: 'batch',
    floor: { batch: 1 },
    note: 'The floor takes one event a request, here as well.',
    figures: DELIVERIES,
  },
  {
    name: 'topics-10000x1',
    title: '10,000 topics with a subscriber each, full speed',
    scenario: 'topics',
    options: { subscribers: 10_000, rate: 'max', duration: '1500ms', warmup: '300ms', timeout: '30s' },
    rounds: 5,
    figures: DELIVERIES,
  },
  {
    name: 'churn',
    title: 'connect, read the head, close',
    scenario: 'churn',
    options: { duration: '1500ms' },
    rounds: 5,
    figures: {
      main: ['server_cpu_us_per_connection', 'CPU µs each'],
      others: [['connections_per_s', 'connections/s'], ['head_p50_ms', 'p50 ms'], ['head_p99_ms', 'p99 ms']],
    },
  },
  {
    name: 'resume-1000x99',
    title: '1,000 subscribers resume, 99 events each',
    scenario: 'resume',
    options: { subscribers: 1_000, events: 100 },
    rounds: 5,
    needs: 'resume',
    figures: {
      main: DELIVERIES.main,
      others: [['deliveries_per_s', 'deliveries/s'], ['catch_up_p50_ms', 'p50 ms'], ['catch_up_p99_ms', 'p99 ms']],
    },
  },
  {
    name: 'slow',
    title: '100 subscribers, of which 10 stop reading while 3.3 MB come for each',
    scenario: 'slow',
    options: { subscribers: 100, rate: 400, duration: '4s', warmup: '500ms', timeout: '3s' },
    rounds: 3,
    figures: {
      main: DELIVERIES.main,
      others: [
        ['latency_before_p99_ms', 'p99 ms before'],
        ['latency_p99_ms', 'others’ p99 ms meanwhile'],
        ['latency_p99_ratio', 'meanwhile ÷ before'],
      ],
    },
  },
  {
    name: 'flood',
    title: '1,000 subscribers, 32 connections publish for half a second as fast as they are answered',
    scenario: 'throughput',
    options: { subscribers: 1_000, connections: 32, window: 1_000_000, duration: '500ms', warmup: '0s', timeout: '5s' },
    rounds: 5,
    figures: DELIVERIES,
  },
];

/** The same in a moment. */
export function quick(row) {
  const { subscribers, topics, window, rate } = row.options;
  const tenth = (number) => number && Math.ceil(number / (number > 1_000 ? 500 : 50));
  const options = { ...row.options, subscribers: Math.max(tenth(subscribers) ?? 0, 20), duration: '200ms', warmup: '50ms' };
  if (row.scenario === 'slow') options.subscribers = subscribers;
  if (topics) options.topics = Math.max(tenth(topics), 10);
  if (typeof rate === 'number') options.rate = rate * 10;
  if (window) options.window = 100;
  return { ...row, options };
}
