// What a process holds, seen from outside.
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';

/** Descriptors that are open. */
export async function descriptors(pid) {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** Descriptors that are open once their number stays the same: the connections of questions have gone then. */
export async function steadyDescriptors(pid) {
  let [before, same] = [0, 0];
  await until(async () => {
    const now = await descriptors(pid);
    same = now === before ? same + 1 : 0;
    before = now;
    return same === 10;
  }, { what: 'the number of descriptors stays the same', within: 60 });
  return before;
}

/** Memory that is resident, in bytes. */
export async function resident(pid) {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
}

/** Waits until `condition` holds; resolves to what it gave and after how many seconds. `look` tells, when it does not, what is. */
export async function until(condition, { what, within, look = () => '' }) {
  const begin = performance.now();
  for (;;) {
    const result = await condition();
    const seconds = (performance.now() - begin) / 1_000;
    if (result) return { result, seconds };
    if (seconds > within) throw new Error(`${what}: not within ${within} s; ${JSON.stringify(await look())}`);
    await pause(20);
  }
}
