// A peer: a broadcast server on plain node:http, as people write it.
//
// `GET /x` subscribes to `x`, `GET /x,y` to both, `POST /x` publishes to `x`. A reader that does not read has its events kept
// in this process's memory, without bound: that is what `response.write` does when nobody looks at what it returns.
import { createServer } from 'node:http';

const topics = new Map();

const server = createServer((request, response) => {
  const names = request.url.slice(1).split(',');
  if (request.method === 'GET') return subscribe(names, response);
  let data = '';
  request.setEncoding('utf8').on('data', (text) => { data += text; }).on('end', () => {
    for (const reader of topics.get(names[0]) ?? []) reader.write(`data: ${data}\n\n`);
    response.end('ok');
  });
});

function subscribe(names, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.flushHeaders();
  for (const name of names) {
    if (!topics.has(name)) topics.set(name, new Set());
    topics.get(name).add(response);
  }
  response.on('close', () => {
    for (const name of names) {
      const readers = topics.get(name);
      readers.delete(response);
      if (readers.size === 0) topics.delete(name);
    }
  });
}

server.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
