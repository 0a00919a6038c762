// bench/compare, in a moment and with our own programs only: does it measure, and do the tables come out?
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { oyezBinary } from '../browser/lib/server.mjs';

const COMPARE = fileURLToPath(new URL('../../bench/compare', import.meta.url));

/** Its status and what it printed. */
function compare(...args) {
  return new Promise((resolve) => {
    execFile(COMPARE, args, (error, stdout, stderr) => resolve({ status: error ? error.code : 0, stdout, stderr }));
  });
}

test('rows are measured beside the floor and stand between the markers of a page', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'oyez-compare-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const page = join(folder, 'page.md');
  await writeFile(page, 'before\n<!-- bench/compare writes from here -->\nold\n<!-- to here -->\nafter\n');
  const rows = 'idle-10000,full-1000,full-1000-batch,multi-1000x10of1000,churn,resume-1000x99';
  const { status, stderr } = await compare('--quick', '--targets', 'oyez,floor', '--only', rows, '--bins', dirname(oyezBinary()), '--out', page);
  assert.equal(status, 0, stderr);
  const text = await readFile(page, 'utf8');
  assert.match(text, /^before\n<!-- bench\/compare writes from here -->\n\nMeasured on [^]*\n<!-- to here -->\nafter\n$/);
  assert.doesNotMatch(text, /\nold\n|failed|undefined|NaN|†/);
  for (const row of rows.split(',')) {
    const [, table] = text.split(`### \`${row}\`: `);
    const [, figure] = table.match(/^\| \*\*oyez\*\* \| (\S+) \|/m);
    assert.ok(Number(figure.replaceAll(',', '')) >= 0, table);
  }
  assert.match(text, /^- floor: it keeps no history to resume from$/m);
});

test('what is not there is told, and nothing is measured', async () => {
  for (const [args, told] of [
    [['--only', 'everything'], /no row is called everything; there are idle-10000, /],
    [['--targets', 'apache'], /no server is called apache; there are oyez, floor, /],
    [['--rounds', '0'], /--rounds is a number: 0/],
    [['--fast'], /--fast/],
  ]) {
    const { status, stderr } = await compare(...args);
    assert.equal(status, 2);
    assert.match(stderr, told);
  }
});
