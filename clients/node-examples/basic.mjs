// node basic.mjs [URL [TYPE…]]
// Prints the events of a topic: type, id, data. An EventSource hears of the types that it has asked for: name yours.
import { EventSource } from 'eventsource';

const [url = 'http://127.0.0.1:8888/events/news', ...types] = process.argv.slice(2);
const source = new EventSource(url);

source.addEventListener('open', () => console.log(`open: ${url}`));

for (const type of ['message', ...types]) {
  source.addEventListener(type, ({ lastEventId, data }) => console.log(`${type} ${lastEventId} ${JSON.stringify(data)}`));
}

// It comes back by itself, with the last id, and gets what it has missed. What the hub no longer has is announced.
source.addEventListener('oyez.gap', ({ data }) => {
  const { reason, missed } = JSON.parse(data);
  console.log(`gap: ${missed ?? 'unknown how many'} events are missing here (${reason})`);
});

source.addEventListener('error', ({ code, message }) => {
  if (source.readyState !== source.CLOSED) return console.log(`reconnecting: ${message ?? 'the stream has ended'}`);
  console.log(`closed: ${message}`); // for good: 204 says that there is no more, other statuses that it will not work
  process.exitCode = code === 204 ? 0 : 1;
});
