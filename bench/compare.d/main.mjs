// The command: what is asked for, then the rounds, then the tables.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { machine } from './machine.mjs';
import { writePage } from './page.mjs';
import { measureRow } from './rounds.mjs';
import { ROWS, quick } from './rows.mjs';
import { tables } from './tables.mjs';
import { TARGETS, missing } from './targets.mjs';
import { REPOSITORY, TARGET_FOLDER } from './folders.mjs';

const PAGE = join(REPOSITORY, 'docs/benchmarks.md');
const RESULTS = join(TARGET_FOLDER, 'compare.json');

const HELP = `bench/compare: Oyez beside its peers and a floor, interleaved, as medians with their spread

  --only ROW,…      these rows (--list names them)
  --targets NAME,…  these servers; the floor is what ratios are made with
  --rounds N        so many rounds of each row, in place of the row's own number
  --out FILE        write the tables between the markers of this page; a run of everything goes into docs/benchmarks.md, a part of
                    it is printed
  --from FILE       measure nothing: take the results of an earlier run, which it leaves in ${relative(REPOSITORY, RESULTS)}
  --bins DIR        take oyez, floor and our other programs from there; build none of them
  --quick           a moment of each row with few subscribers: does it all work? The figures say nothing
  --list            name rows and servers
  --help            this

What is missing (nginx, Pushpin, Go) is told with the line that installs it. CARGO_TARGET_DIR and CARGO_PROFILE_… count as
everywhere. Status 1: something could not be measured, or was wrong in Oyez; the tables say what.
`;

const OPTIONS = {
  only: { type: 'string' },
  targets: { type: 'string' },
  rounds: { type: 'string' },
  out: { type: 'string' },
  from: { type: 'string' },
  bins: { type: 'string' },
  quick: { type: 'boolean' },
  list: { type: 'boolean' },
  help: { type: 'boolean' },
};

export async function main(args) {
  try {
    process.exitCode = await run(args);
  } catch (error) {
    process.stderr.write(`bench/compare: ${error.usage ? error.message : error.stack}\n`);
    process.exitCode = 2;
  }
}

async function run(args) {
  const options = parse(args);
  if (options.help) return say(HELP);
  if (options.list) return say(list());
  const results = options.from ? JSON.parse(readFileSync(options.from, 'utf8')) : await measure(options);
  const text = tables(results);
  const out = options.out ?? (isWhole(options) ? PAGE : undefined);
  if (out) writePage(out, text);
  say(out ? `written: ${out}\n` : text);
  return results.rows.some((row) => row.results.oyez?.some((round) => round.failure || round.wrong.length > 0)) ? 1 : 0;
}

function parse(args) {
  let options;
  try {
    ({ values: options } = parseArgs({ args, options: OPTIONS }));
  } catch (error) {
    throw usage(error.message);
  }
  if (options.rounds !== undefined && !/^[1-9]\d{0,2}$/.test(options.rounds)) throw usage(`--rounds is a number: ${options.rounds}`);
  return options;
}

function isWhole({ only, targets, quick }) {
  return !only && !targets && !quick;
}

/** The results of all rounds; those of the rows done so far are on disk when something ends it early. */
async function measure(options) {
  const rows = chosen('row', options.only, ROWS).map((row) => (options.quick ? quick(row) : row));
  const targets = chosen('server', options.targets, TARGETS);
  const absent = missing(targets);
  if (absent.length > 0) throw usage(`${absent.join('\n')}\nor leave it out with --targets`);
  const bins = options.bins ?? build(targets);
  const begun = Date.now();
  const results = { command: command(options), machine: machine(targets, bins), date: new Date().toISOString(), rows: [] };
  for (const row of rows) {
    const rounds = Number(options.rounds ?? (options.quick ? 1 : row.rounds));
    results.rows.push(await measureRow(row, targets, rounds, bins));
    results.minutes = (Date.now() - begun) / 60_000;
    if (options.quick) continue;
    mkdirSync(dirname(RESULTS), { recursive: true });
    writeFileSync(RESULTS, JSON.stringify(results, null, 1));
  }
  return results;
}

/** What of the command line says what was measured. */
function command(options) {
  const given = ['only', 'targets', 'rounds', 'quick'].filter((name) => options[name]);
  return ['bench/compare', ...given.map((name) => (name === 'quick' ? '--quick' : `--${name} ${options[name]}`))].join(' ');
}

/** Those with the names that are asked for, in their own order. */
function chosen(kind, names, all) {
  if (names === undefined) return all;
  const wanted = names.split(',').filter(Boolean);
  const unknown = wanted.find((name) => !all.some((one) => one.name === name));
  if (unknown) throw usage(`no ${kind} is called ${unknown}; there are ${all.map((one) => one.name).join(', ')}`);
  return all.filter((one) => wanted.includes(one.name));
}

function list() {
  const lines = (all) => all.map(({ name, title }) => `  ${name.padEnd(22)} ${title}\n`).join('');
  return `rows\n${lines(ROWS)}servers\n${lines(TARGETS)}`;
}

function usage(message) {
  return Object.assign(new Error(message), { usage: true });
}

function say(text) {
  process.stdout.write(text);
  return 0;
}
