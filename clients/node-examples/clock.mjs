// node clock.mjs [URL]
// Prints the time that `oyez serve --demo` tells each second.
import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[2] ?? 'http://127.0.0.1:8888/clock');

source.addEventListener('message', ({ data }) => console.log(new Date(data).toLocaleTimeString()));

// the hub was started anew, or we were away for very long: a clock does not mind, and says so
source.addEventListener('oyez.gap', ({ data }) => console.log(`gap: ${JSON.parse(data).reason}`));

source.addEventListener('error', ({ message }) => {
  const closed = source.readyState === source.CLOSED;
  console.log(`${closed ? 'closed' : 'reconnecting'}: ${message ?? 'the stream has ended'}`);
  if (closed) process.exitCode = 1;
});
