// node stock.mjs [URL]
// Prints a line for each quote of `oyez serve --demo`.
import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[2] ?? 'http://127.0.0.1:8888/stock');

console.log('symbol    price   change  time');
source.addEventListener('message', ({ data }) => {
  const { symbol, price, change, time } = JSON.parse(data);
  const sign = change < 0 ? '' : '+';
  console.log([symbol.padEnd(6), price.toFixed(2).padStart(8), (sign + change.toFixed(2)).padStart(8), ` ${time}`].join(' '));
});

source.addEventListener('oyez.gap', ({ data }) => console.log(`gap: some quotes are missing here (${JSON.parse(data).reason})`));

source.addEventListener('error', ({ message }) => {
  const closed = source.readyState === source.CLOSED;
  console.log(`${closed ? 'closed' : 'reconnecting'}: ${message ?? 'the stream has ended'}`);
  if (closed) process.exitCode = 1;
});
