// What a process asks of its system, and what it is told: strace, which can also delay an answer or make one up.
import { readFile } from 'node:fs/promises';

/** What to start a program by so that its calls are written to `file`. The program has the process id; the tracer ends with it. */
export function strace(file, ...options) {
  return ['strace', '-D', '-f', '-qq', '-ttt', '-s', '4096', '-o', file, '-e', `trace=${CALLS}`, ...options, '--'];
}

/** All calls so far: `{name, text, begin, end, error, at}`: the text with arguments, lines of the trace, the moment in milliseconds when it returned. */
export async function calls(file) {
  const open = new Map(); // by thread
  const found = [];
  const lines = (await readFile(file, 'utf8')).split('\n');
  for (const [number, line] of lines.entries()) {
    const [, thread, seconds, rest] = /^(\d+) +(\d+\.\d+) (.*)$/.exec(line) ?? [];
    if (!rest) continue;
    const [, name] = /^(\w+)\(/.exec(rest) ?? [];
    if (name) {
      const call = { name, thread, text: rest, begin: number };
      found.push(call);
      if (rest.endsWith('<unfinished ...>')) open.set(thread, call);
      else finish(call, number, rest, seconds, rest);
    } else if (/^<\.\.\. \w+ resumed>/.test(rest) && open.has(thread)) {
      finish(open.get(thread), number, rest, seconds);
      open.delete(thread);
    }
  }
  return found;
}

function finish(call, number, rest, seconds) {
  const [, result, error] = /\) += (-?\d+|\?)(?: (E[A-Z]+))?/.exec(rest) ?? [];
  Object.assign(call, { end: number, result, error, at: Number(seconds) * 1_000 });
}

export const SYNCS = ['fdatasync', 'fsync'];
const CALLS = [...SYNCS, 'sync_file_range', 'pwrite64', 'pwritev', 'write', 'writev', 'sendto', 'sendmsg'].join();
