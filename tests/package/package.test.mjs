// Each crate as it would be published: what is in its package, that it builds from there, and what a user's lock file gets from it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Crate } from '../floors/crate.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
const NAMES = ['oyez-proto', 'oyez', 'oyez-client', 'oyez-server', 'oyez-cli'];
const LIBRARIES = NAMES.filter((name) => name !== 'oyez-cli');
// what only tests need, or only the model checker
const TOOLS = ['allocation-counter', 'proptest', 'shuttle'];
// crates.io takes five keywords of 20 characters, and packages of 10 MB; nothing here comes near a tenth of that
const KEYWORDS_MAX = 5;
const KEYWORD_CHARACTERS_MAX = 20;
const PACKAGE_BYTES_MAX = 1_000_000;

const root = (path) => readFileSync(join(ROOT, path), 'utf8');
const cargo = (folder, ...args) => execFileSync('cargo', args, { cwd: folder, encoding: 'utf8', maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'inherit'] });
const { packages } = JSON.parse(cargo(ROOT, 'metadata', '--locked', '--no-deps', '--format-version', '1'));
const manifest = (name) => packages.find((found) => found.name === name);
const crateFile = (name) => join(TARGET, 'package', `${name}-${manifest(name).version}.crate`);

let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'oyez-package-'));
  // built below, all five together: cargo's own way of doing it would build everything they stand on once more
  cargo(ROOT, 'package', '--quiet', '--locked', '--allow-dirty', '--no-verify', ...NAMES.flatMap((name) => ['--package', name]));
  // as of now: in a package all is of 2006, and cargo would take what it built of the last one for this one
  for (const name of NAMES) execFileSync('tar', ['xzmf', crateFile(name), '-C', folder]);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const filesUnder = (root, path) => (statSync(join(root, path)).isFile() ? [path] : readdirSync(join(root, path)).flatMap((name) => filesUnder(root, join(path, name))));
const unpacked = (name) => join(folder, `${name}-${manifest(name).version}`);
const filesOf = (name) => execFileSync('tar', ['tzf', crateFile(name)], { encoding: 'utf8' }).trim().split('\n')
  .map((path) => path.slice(path.indexOf('/') + 1));
const textOf = (name, path) => readFileSync(join(unpacked(name), path), 'utf8');
const patches = (names) => ['[patch.crates-io]', ...names.map((name) => `${name} = { path = "${unpacked(name)}" }`)].join('\n');

for (const name of NAMES) {
  describe(name, () => {
    test('has its README and the texts of both licences', () => {
      for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE']) assert.equal(textOf(name, licence), root(licence));
      const [major, minor] = manifest(name).rust_version.split('.');
      assert.match(textOf(name, 'README.md'), new RegExp(`^# oyez[\\s\\S]*\\nRust ${major}\\.${minor} or newer\\. MIT or Apache-2\\.0`));
    });

    test('has every source that a build reads, and nothing else', () => {
      const sources = [...new Crate(ROOT, name).files.values()].filter((file) => !file.ofTests).map((file) => `src/${file.name}.rs`);
      // what sources include, such as the page
      const included = filesUnder(join(ROOT, 'crates', name), 'src').filter((path) => !path.endsWith('.rs'));
      const others = name === 'oyez-cli' ? ['build.rs', ...included] : included;
      const always = ['.cargo_vcs_info.json', 'Cargo.lock', 'Cargo.toml', 'Cargo.toml.orig', 'LICENSE-APACHE', 'LICENSE-MIT', 'README.md'];
      // cargo leaves the commit out where there is no repository
      assert.deepEqual(filesOf(name).filter((path) => path !== always[0]).sort(), [...always.slice(1), ...others, ...sources].sort());
    });

    test('names no place on this machine', () => {
      for (const path of filesOf(name)) assert.ok(!textOf(name, path).includes(ROOT), path);
    });

    test('says what the registry and docs.rs want to know', () => {
      const { description, license, repository, keywords, categories, metadata, size = readFileSync(crateFile(name)).length } = manifest(name);
      assert.ok(description && license === 'MIT OR Apache-2.0' && repository && categories.length > 0);
      assert.ok(keywords.length > 0 && keywords.length <= KEYWORDS_MAX && keywords.every((word) => word.length <= KEYWORD_CHARACTERS_MAX));
      assert.ok(size < PACKAGE_BYTES_MAX, `${size} bytes`);
      if (!LIBRARIES.includes(name)) return;
      assert.deepEqual(metadata.docs.rs, { 'all-features': true, 'rustdoc-args': ['--cfg', 'docsrs'] });
    });
  });
}

test('all of them build from their packages', () => {
  const members = NAMES.map((name) => JSON.stringify(unpacked(name))).join(', ');
  // with the profiles of the project what they stand on need not be built again
  const profiles = root('Cargo.toml').split(/\n(?=\[)/).filter((table) => table.startsWith('[profile.dev')).join('\n');
  writeFileSync(join(folder, 'Cargo.toml'), `[workspace]\nresolver = "3"\nmembers = [${members}]\n\n${patches(LIBRARIES)}\n\n${profiles}\n`);
  copyFileSync(join(ROOT, 'Cargo.lock'), join(folder, 'Cargo.lock'));
  cargo(folder, 'check', '--quiet', '--workspace', '--target-dir', TARGET);
});

test('the lock file of a user has nothing that only tests need', () => {
  const user = join(folder, 'user');
  mkdirSync(join(user, 'src'), { recursive: true });
  writeFileSync(join(user, 'src/main.rs'), 'fn main() {}\n');
  const dependencies = LIBRARIES.map((name) => `${name} = { path = "${unpacked(name)}" }`).join('\n');
  writeFileSync(join(user, 'Cargo.toml'), `[package]\nname = "user"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n\n`
    + `[dependencies]\n${dependencies}\n\n${patches(LIBRARIES)}\n`);
  copyFileSync(join(ROOT, 'Cargo.lock'), join(user, 'Cargo.lock'));
  cargo(user, 'metadata', '--quiet', '--format-version', '1');
  const locked = (text) => [...text.matchAll(/^name = "(.*)"$/gm)].map(([, name]) => name);
  const users = locked(readFileSync(join(user, 'Cargo.lock'), 'utf8'));
  assert.ok(LIBRARIES.every((name) => users.includes(name)) && users.includes('tokio'), 'the lock file was written');
  assert.ok(TOOLS.every((tool) => locked(root('Cargo.lock')).includes(tool)), 'the tools are what they are called here');
  assert.deepEqual(TOOLS.filter((tool) => users.includes(tool)), []);
  // and of whoever installs the binary by the lock file that comes with it
  assert.deepEqual(TOOLS.filter((tool) => locked(textOf('oyez-cli', 'Cargo.lock')).includes(tool)), []);
});
