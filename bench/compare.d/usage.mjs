// What the processes of a server hold, as Linux tells it.
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const SETTLES_WITHIN_MS = 3_000;
const LOOK_MS = 100;

/** Descriptors and resident bytes, in sum. */
export function usage(pids) {
  const sum = (of) => pids.map(of).reduce((one, other) => one + other, 0);
  return { descriptors: sum((pid) => readdirSync(`/proc/${pid}/fd`).length), resident: sum(resident) };
}

/** Waits until the server does nothing and has no more descriptors than before, or for a few seconds; then gives its usage. */
export async function settled(pids, before) {
  for (let left = SETTLES_WITHIN_MS, last = ticks(pids); ; left -= LOOK_MS) {
    await pause(LOOK_MS);
    const now = ticks(pids);
    const found = usage(pids);
    if (left <= 0 || (now - last <= 1 && found.descriptors <= before.descriptors)) return found;
    last = now;
  }
}

/** CPU time, in hundredths of a second. */
function ticks(pids) {
  // behind the name, which may hold anything, utime and stime are the 12th and 13th field
  const of = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(')').at(-1).trim().split(' ').slice(11, 13);
  return pids.flatMap(of).reduce((sum, field) => sum + Number(field), 0);
}

function resident(pid) {
  const [, kilobytes] = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB$/m) ?? [0, 0];
  return kilobytes * 1_024;
}
