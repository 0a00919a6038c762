// What `oyez --version` says of a build, wherever it is built: build.rs of oyez-cli, run in folders of the test's own.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const BUILD = join(dirname(fileURLToPath(import.meta.url)), '../../crates/oyez-cli/build.rs');
const COMMIT = '0123456789abcdef0123456789abcdef01234567';

let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'oyez-version-'));
  execFileSync('rustc', ['--edition', '2024', '-o', join(folder, 'build'), BUILD]);
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a build in `crate` says of itself, and which files it is made anew for. */
function built(crate, env = {}) {
  const { SOURCE_DATE_EPOCH: _, ...own } = process.env;
  // repositories around the folder of temporary files are not asked
  const asked = { ...own, CARGO_MANIFEST_DIR: crate, CARGO_PKG_VERSION: '1.2.3', GIT_CEILING_DIRECTORIES: folder, ...env };
  const lines = execFileSync(join(folder, 'build'), { cwd: crate, env: asked, encoding: 'utf8' }).trim().split('\n');
  const after = (prefix) => lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
  const [version] = after('cargo:rustc-env=BUILD_VERSION=');
  return { version, watched: after('cargo:rerun-if-changed=') };
}

/** A folder `name` with a crate at `path`, as a repository with one commit. */
function repository(name, path) {
  const root = join(folder, name);
  const crate = join(root, path);
  mkdirSync(join(crate, 'src'), { recursive: true });
  for (const file of ['Cargo.toml', 'src/main.rs', 'build.rs']) writeFileSync(join(crate, file), '');
  const git = (...args) => execFileSync('git', ['-C', root, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args], {
    encoding: 'utf8', env: { ...process.env, GIT_COMMITTER_DATE: '2026-11-30T23:30:00-05:00', GIT_CONFIG_GLOBAL: '/dev/null' },
  }).trim();
  git('init', '--quiet');
  git('add', '.');
  git('commit', '--quiet', '--message', 'first');
  return { root, crate, git, commit: git('rev-parse', 'HEAD').slice(0, 7) };
}

test('a checkout says its commit and the day, and whether it differs', () => {
  const { root, crate, git, commit } = repository('checkout', 'crates/oyez-cli');
  const { version, watched } = built(crate);
  assert.equal(version, `1.2.3 (${commit} 2026-11-30)`);
  // it is made anew with another commit, another branch, and other sources
  for (const file of [/HEAD$/, /refs\/heads\/\w+$/, /oyez-cli\/src$/, /build\.rs$/]) assert.ok(watched.some((path) => file.test(path)), `${file} in ${watched}`);
  assert.equal(built(crate, { SOURCE_DATE_EPOCH: '1709210096' }).version, `1.2.3 (${commit} 2024-02-29)`);
  writeFileSync(join(root, 'notes'), 'not of the project');
  assert.equal(built(crate).version, `1.2.3 (${commit} 2026-11-30)`);
  writeFileSync(join(crate, 'src/main.rs'), '// another');
  assert.equal(built(crate).version, `1.2.3 (${commit}-dirty 2026-11-30)`);
  git('checkout', '--quiet', '--detach');
  git('stash', '--quiet');
  assert.equal(built(crate).version, `1.2.3 (${commit} 2026-11-30)`);
});

test('a package says the commit that it was made from, also within another repository', () => {
  const { crate } = repository('theirs', 'crates/oyez-cli');
  for (const [dirty, expected] of [[{}, '0123456'], [{ dirty: true }, '0123456-dirty']]) {
    const info = { git: { sha1: COMMIT, ...dirty }, path_in_vcs: 'crates/oyez-cli' };
    writeFileSync(join(crate, '.cargo_vcs_info.json'), JSON.stringify(info, null, 2));
    assert.equal(built(crate).version, `1.2.3 (${expected})`);
    assert.equal(built(crate, { SOURCE_DATE_EPOCH: '0' }).version, `1.2.3 (${expected} 1970-01-01)`);
  }
  writeFileSync(join(crate, '.cargo_vcs_info.json'), '{"git":{"sha1":"odd"}}');
  assert.equal(built(crate).version, '1.2.3');
});

test('where nothing is known it is the bare version', () => {
  const { crate } = repository('vendoring', 'vendor/oyez-cli');
  assert.equal(built(crate).version, '1.2.3', 'the commit of another project is not ours');
  const alone = join(folder, 'alone');
  mkdirSync(alone);
  assert.equal(built(alone).version, '1.2.3');
  assert.equal(built(alone, { SOURCE_DATE_EPOCH: '951868799' }).version, '1.2.3 (2000-02-29)');
  for (const odd of ['', 'soon', '-1', '99999999999999999999']) assert.equal(built(alone, { SOURCE_DATE_EPOCH: odd }).version, '1.2.3');
  assert.equal(built(alone, { PATH: '' }).version, '1.2.3', 'without git');
});
