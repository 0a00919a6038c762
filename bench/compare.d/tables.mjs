// The results as Markdown: a summary, then a table for each row.
import { median, number, quartiles, spread } from './statistics.mjs';

const FLOOR = 'floor';

export function tables(results) {
  return [machine(results), summary(results), ...results.rows.map(rowTable)].join('\n');
}

function machine({ command, date, machine, minutes }) {
  const took = minutes ? `, which took ${Math.ceil(minutes)} min` : '';
  const lines = machine.map((line) => `- ${line}`);
  return [`Measured on ${date.slice(0, 10)} with \`${command}\`${took}.`, '', ...lines, ''].join('\n');
}

/** What each server costs as a multiple of the floor; where the floor cannot, in the row's own unit. */
function summary({ rows }) {
  const targets = [...new Set(rows.flatMap(({ results, absent }) => [...Object.keys(results), ...Object.keys(absent)]))];
  const servers = targets.filter((name) => name !== FLOOR);
  const lines = rows.map((measured) => {
    const { row, results, absent } = measured;
    const floor = (results[FLOOR] ? main(row, results[FLOOR]) : []).filter((value) => value > 0);
    const cell = (name) => {
      if (absent[name]) return '—';
      const values = floor.length > 0 ? ratios(row, results[name], results[FLOOR]) : main(row, results[name]);
      return values.length === 0 ? 'failed' : number(median(values)) + (isWrong(results[name]) ? ' †' : '');
    };
    return [`\`${row.name}\``, row.figures.main[1], floor.length > 0 ? number(median(floor)) : '—', ...servers.map(cell)];
  });
  const faulty = rows.some(({ results }) => Object.values(results).some(isWrong));
  const head = ['row', 'figure', 'floor', ...servers.map((name) => (name === 'oyez' ? '**oyez**' : name))];
  return [
    '### All rows: times the floor', '',
    ...table(head, lines), '',
    'The column *floor* is the figure itself; the others are multiples of it, medians of the ratios of each round. Where there is',
    'no floor they are the figure itself.', '',
    ...(faulty ? ['† Something was lost, doubled, out of order, cut or refused in some round: see its table.', ''] : []),
  ].join('\n');
}

function rowTable({ row, rounds, results, absent }) {
  const notes = [];
  const { main: [name, label], others } = row.figures;
  const head = ['server', label, '× floor', ...others.map(([, label]) => label), 'wrong', 'descriptors', 'memory MiB'];
  const lines = Object.entries(results).map(([target, outcomes]) => {
    const good = outcomes.filter((outcome) => outcome.figures);
    const failures = outcomes.filter((outcome) => outcome.failure);
    if (failures.length > 0) notes.push(`${target} failed in ${failures.length} of ${outcomes.length}: ${failures[0].failure}`);
    if (outcomes.length < rounds) notes.push(`${target}: ${outcomes.length} ${outcomes.length === 1 ? 'round' : 'rounds'}`);
    const bold = target === 'oyez' ? `**${target}**` : target;
    if (good.length === 0) return [bold, ...head.slice(1).map((_, at) => (at === 0 ? 'failed' : '—'))];
    const of = (name) => good.map(({ figures }) => figures[name]).filter((value) => typeof value === 'number');
    const cell = ([name, , form]) => (of(name).length === 0 ? '—' : form === 'quartiles' ? quartiles(of(name)) : spread(of(name)));
    const ratio = results[FLOOR] ? ratios(row, outcomes, results[FLOOR]) : [];
    const times = target === FLOOR || ratio.length === 0 ? '—' : spread(ratio);
    const usage = [held(good, 'descriptors', 1), held(good, 'resident', 2 ** 20)];
    return [bold, cell([name]), times, ...others.map(cell), faults(outcomes), ...usage];
  });
  for (const target of Object.keys(absent)) lines.push([target, ...head.slice(1).map(() => '—')]);
  for (const why of new Set(Object.values(absent))) {
    notes.push(`${Object.keys(absent).filter((target) => absent[target] === why).join(', ')}: ${why}`);
  }
  if (row.note) notes.push(row.note);
  const options = Object.entries(row.options).map(([name, value]) => ` --${name} ${value}`).join('');
  return [
    `### \`${row.name}\`: ${row.title}`, '',
    `\`oyez bench ${row.scenario}${options}\`, ${rounds} ${rounds === 1 ? 'round' : 'rounds'}${row.fresh ? ', a fresh server for each' : ''}.`, '',
    ...table(head, lines), '',
    ...notes.map((note) => `- ${note}`), ...(notes.length > 0 ? [''] : []),
  ].join('\n');
}

function main(row, outcomes) {
  return outcomes.map((outcome) => outcome.figures?.[row.figures.main[0]]).filter((value) => typeof value === 'number');
}

/** Of each round in which both were measured. */
function ratios(row, outcomes, floor) {
  const of = (outcome) => outcome?.figures?.[row.figures.main[0]];
  return outcomes.map((outcome, round) => of(outcome) / of(floor[round])).filter((ratio) => Number.isFinite(ratio));
}

function isWrong(outcomes) {
  return outcomes.some((outcome) => outcome.failure || outcome.wrong.length > 0);
}

/** Sums over all rounds. */
function faults(outcomes) {
  const sums = new Map();
  for (const [name, value] of outcomes.flatMap(({ wrong }) => wrong)) sums.set(name, (sums.get(name) ?? 0) + value);
  const parts = [...sums].map(([name, value]) => `${value.toLocaleString('en-US')} ${WORDS[name] ?? name}`);
  return parts.length === 0 ? '0' : `**${parts.join(', ')}**`;
}

/** At the start, after the first round, after the last. */
function held(outcomes, name, unit) {
  const values = [outcomes[0].before, outcomes[0].after, outcomes.at(-1).after].map((usage) => number(usage[name] / unit));
  return values.every((value) => value === values[0]) ? values[0] : values.join(' → ');
}

function table(head, lines) {
  const row = (cells) => `| ${cells.join(' | ')} |`;
  return [row(head), row(head.map((_, at) => (at === 0 ? '---' : '--:'))), ...lines.map(row)];
}

const WORDS = {
  out_of_order: 'out of order',
  gaps: 'holes announced',
  cut: 'streams cut',
  failures: 'failures',
  stopped_silent: 'stopped readers lost events silently',
  stopped_doubled: 'doubled for stopped readers',
};
