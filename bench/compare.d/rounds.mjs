// The rounds of one row: in each, every server once.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Program } from './program.mjs';
import { number } from './statistics.mjs';
import { settled, usage } from './usage.mjs';

const ENDS_WITHIN_MS = 90_000;
const SERVERS_PROCESSOR = '0';
const LOADS_PROCESSOR = '1';
/** What must not be, in the words of `oyez bench`. */
const FAULTS = [
  'lost', 'doubled', 'out_of_order', 'damaged', 'strayed', 'cut', 'gaps', 'failures', 'stopped_silent', 'stopped_doubled',
];

/** `{ row, rounds, results: { TARGET: [{ figures, wrong, before, after, seconds } or { failure, seconds }] }, absent: { TARGET: why } }` */
export async function measureRow(row, targets, rounds, bins) {
  const able = targets.filter((target) => canDo(target, row));
  const absent = targets.filter((target) => !able.includes(target)).map((target) => [target.name, target.lacks[row.needs]]);
  const results = Object.fromEntries(able.map((target) => [target.name, []]));
  const servers = new Map();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const target of turned(able, round).filter(({ roundsMax = rounds }) => round < roundsMax)) {
        const begun = Date.now();
        const outcome = await measureOnce(row, target, servers, bins);
        outcome.seconds = (Date.now() - begun) / 1_000;
        results[target.name].push(outcome);
        process.stderr.write(`${row.name} ${round + 1}/${rounds} ${target.name}: ${line(row, outcome)}\n`);
      }
    }
  } finally {
    for (const server of servers.values()) await server.stop();
  }
  return { row, rounds, results, absent: Object.fromEntries(absent) };
}

function canDo(target, row) {
  return !row.needs || !target.lacks[row.needs] || (target.name === 'floor' && row.floor);
}

/** Another one first in each round, so that none always comes after the same. */
function turned(targets, round) {
  const first = round % targets.length;
  return [...targets.slice(first), ...targets.slice(0, first)];
}

/** A server stays for all rounds of a row, unless the row wants it fresh or something failed. */
async function measureOnce(row, target, servers, bins) {
  try {
    const server = servers.get(target.name) ?? await target.start(bins, row);
    servers.set(target.name, server);
    if (row.apart) server.pids.forEach((pid) => keepTo(SERVERS_PROCESSOR, pid));
    const before = usage(server.pids);
    const outcome = await bench(row, target, server, bins);
    if (server.programs.some((program) => program.hasEnded)) throw new Error('the server ended');
    const after = await settled(server.pids, before);
    if (row.fresh || outcome.failure) await stop(target, servers);
    return { ...outcome, before, after };
  } catch (error) {
    await stop(target, servers);
    return { failure: error.message.trim().replaceAll(/\s+/g, ' '), wrong: [] };
  }
}

/** All threads of a process, and those that it starts from now on. */
function keepTo(processor, pid) {
  const { status, error, stderr } = spawnSync('taskset', ['-a', '-c', '-p', processor, String(pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`taskset (Debian: util-linux): ${error?.message ?? stderr}`);
}

async function stop(target, servers) {
  await servers.get(target.name)?.stop();
  servers.delete(target.name);
}

async function bench(row, target, server, bins) {
  const reach = target.reach(server, row);
  if (!row.options['topics-each']) delete reach['topic-separator'];
  const options = { ...row.options, ...reach, ...(target.name === 'floor' ? row.floor : {}) };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const pids = server.pids.flatMap((pid) => ['--pid', String(pid)]);
  const apart = row.apart ? ['taskset', '-c', LOADS_PROCESSOR] : [];
  const program = new Program([...apart, join(bins, 'oyez'), 'bench', row.scenario, '--json', ...args, ...pids]);
  const timer = setTimeout(() => program.kill(), ENDS_WITHIN_MS);
  const status = await program.ended;
  clearTimeout(timer);
  if (status === 'SIGKILL') return { failure: `not done after ${ENDS_WITHIN_MS / 1_000} s`, wrong: [] };
  if (program.output === '') return { failure: `${program.errors.trim().split('\n').at(-1)}`, wrong: [] };
  const { figures } = JSON.parse(program.output);
  const wrong = FAULTS.filter((name) => figures[name] > 0).map((name) => [name, figures[name]]);
  return { figures, wrong };
}

function line({ figures: { main: [name, label] } }, { figures, wrong, failure, seconds }) {
  if (failure) return failure;
  const faults = wrong.map(([fault, number]) => `, ${number} ${fault}`).join('');
  return `${number(figures[name])} ${label}${faults}, ${Math.round(seconds)} s`;
}
