// What the floors must find, in crates made for it. `tests/directions` runs this before it believes a clean answer.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { faultsOfFloors, faultsOfPicture } from './check.mjs';

const FLOORS = ['face | `hub`', 'reading | `log/ring` (`Ring`)', 'log | `log/`', 'ground | `topic` `clock`'];
const HOUSE = {
  'lib.rs': '//! A house.\nmod clock;\nmod hub;\nmod log;\nmod topic;\n#[cfg(test)]\nmod model;\npub use hub::Hub;\npub use topic::Topic;',
  'hub.rs': 'use crate::log::{Entry, Ring as Kept};\npub struct Hub(Kept, Entry);',
  'log/mod.rs': 'mod entry;\nmod ring;\npub(crate) use entry::Entry;\npub(crate) use self::ring::Ring;',
  'log/entry.rs': 'use crate::Topic;\npub(crate) struct Entry(Topic, crate::clock::Clock);',
  'log/ring.rs': 'pub(crate) struct Ring(Vec<super::Entry>);',
  'topic.rs': '// use crate::hub::Hub;\npub struct Topic;\nconst TEXT: &str = r#"crate::hub"#;',
  'clock.rs': 'pub(crate) struct Clock;\n#[cfg(test)]\nmod tests {\n    use crate::hub::Hub;\n}',
  'model.rs': 'use crate::hub::Hub;',
};

/** Builds the house with `changes`, gives it to `look` and takes it away. */
function withHouse(changes, floors, look) {
  const root = mkdtempSync(join(tmpdir(), 'oyez-floors-'));
  const write = (path, text) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  try {
    const table = floors.map((floor) => `| ${floor} |`).join('\n');
    const picture = '## The path of one event\n\n```\nhub ─ Hub::new  log/ log/ring  GET /no/file\n```\n';
    write('ARCHITECTURE.md', `# House\n${picture}\n### \`house\`: all\n| floor | files |\n|---|---|\n${table}\n\n## Time\n`);
    for (const [file, text] of Object.entries({ ...HOUSE, ...changes })) write(`crates/house/src/${file}`, text);
    return look(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

function check(changes, expected, floors = FLOORS) {
  const faults = withHouse(changes, floors, (root) => faultsOfFloors(root, 'house'));
  assert.equal(faults.length, expected.length, faults.join('\n'));
  expected.forEach((pattern, at) => assert.match(faults[at], pattern));
}

test('a house in order has no fault', () => check({}, []));

test('an arrow upwards is found, however it is written', () => {
  const upwards = (line, from, to) => [new RegExp(`crates/house/src/${from}.rs:${line}: ${from} .* imports ${to} .*above`)];
  check({ 'topic.rs': '\nuse crate::hub::Hub;' }, upwards(2, 'topic', 'hub'));
  check({ 'topic.rs': 'use {std::fmt, crate::{clock::Clock, log::{self, ring::Ring as R}}};' }, upwards(1, 'topic', 'log/ring'));
  check({ 'topic.rs': 'fn f() {\n    super::hub::Hub::new()\n}' }, upwards(2, 'topic', 'hub'));
  check({ 'topic.rs': 'use crate::log;\n\nfn f(_: log::Entry) {}' }, upwards(3, 'topic', 'log/entry'));
  check({ 'topic.rs': 'use crate::log::*;' }, [/topic imports log\/entry/, /topic imports log\/ring/].map(({ source }) => new RegExp(source.replace(' ', ' .* '))));
  check({ 'topic.rs': "fn f<'a>(x: &'a str) -> char { '\"' }\nuse crate::Hub; // \"" }, upwards(2, 'topic', 'hub'));
});

test('what only tests import stands for nothing', () => {
  for (const item of ['use crate::hub::Hub;', 'pub(crate) fn f(h: crate::Hub) {\n}', 'mod tests { use crate::Hub; }', 'impl T { fn f() { crate::hub::f() } }']) {
    for (const condition of ['test', 'doctest', 'all(test, unix)', 'any(test, all(unix, test))']) {
      check({ 'topic.rs': `#[cfg(${condition})]\n#[inline]\n${item}\npub struct Topic;` }, []);
    }
    check({ 'topic.rs': `#[cfg(any(test, unix))]\n${item}` }, [/topic .* imports hub/]);
    check({ 'topic.rs': `#[cfg(not(test))]\n${item}` }, [/topic .* imports hub/]);
  }
  check({ 'topic.rs': 'struct T {\n#[cfg(test)]\na: crate::hub::Hub,\nb: crate::hub::Hub,\n}' }, [/topic.rs:4: .* imports hub/]);
});

test('a circle on one floor is found', () => {
  check({ 'topic.rs': 'use crate::clock::Clock;', 'clock.rs': '\nuse crate::topic::Topic;' }, [/2 files of the floor "ground" .*topic.rs:1 → clock.rs:2|clock.rs:2 → topic.rs:1/]);
  check({ 'log/entry.rs': 'use super::Ring;' }, [/entry .* imports log\/ring .*above/]);
  check({ 'log/entry.rs': 'use super::Ring;' }, [/2 files of the floor "log" form a circle/], [FLOORS[0], 'log | `log/`', FLOORS[3]]);
});

test('a file on no floor, on two, and one that is not there are found', () => {
  check({ 'lib.rs': `${HOUSE['lib.rs']}\nmod attic;`, 'attic.rs': '' }, [/attic.rs stands on no floor/]);
  check({}, [/hub stands in the floors twice/], [...FLOORS, 'cellar | `hub`']);
  check({}, [/names cellar\/, and crates\/house\/src has no such file/], [...FLOORS, 'cellar | `cellar/`']);
});

test('logic in a list of modules is found', () => {
  check({ 'log/mod.rs': `${HOUSE['log/mod.rs']}\n#[cfg(doctest)]\n#[doc = include_str!("README.md")]\nmod readme {}` }, []);
  check({ 'log/mod.rs': `${HOUSE['log/mod.rs']}\n#[derive(Debug)]\npub(crate) struct Log;` }, [/log\/mod.rs:6: this file declares and re-exports only/]);
  check({ 'lib.rs': `${HOUSE['lib.rs']}\nfn f() {}` }, [/lib.rs:10: /]);
  const fine = '#[cfg(not(unix))]\ncompile_error!("for Unix");\n#[expect(lint, reason = "a [b")]\nextern crate core;\nmacro_rules! m { () => { fn f() {} } }\n';
  check({ 'lib.rs': `#![no_std]\n${fine}${HOUSE['lib.rs']}` }, []);
});

test('a picture that names what is not there is found', () => {
  withHouse({ 'hub.rs': 'pub struct Hub;\nimpl Hub { fn new() {} }' }, FLOORS, (root) => assert.deepEqual(faultsOfPicture(root), []));
  const changes = { 'hub.rs': '', 'log/entry.rs': '', 'log/ring.rs': '', 'lib.rs': '' };
  const faults = withHouse(changes, FLOORS, (root) => faultsOfPicture(root));
  assert.match(faults.join('\n'), /no hub has Hub[^]*Hub::new, which is nowhere/);
});
