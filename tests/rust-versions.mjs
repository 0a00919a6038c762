#!/usr/bin/env node
// Usage: node tests/rust-versions.mjs [--build]
// Fails when a dependency of one of our crates asks for a newer Rust than the crate itself says (`rust-version`). Reads `cargo metadata`:
// normal and build dependencies, of every feature and target, through every level. What std has is held to it by clippy's
// incompatible_msrv; newer syntax only an old compiler finds, so with --build each crate is built by the one that it says.

import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// name of a dependency: why it may ask for more
const EXCEPTIONS = {};

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const command = ['metadata', '--locked', '--all-features', '--format-version', '1'];
const metadata = JSON.parse(execFileSync('cargo', command, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 30 }));
const packages = new Map(metadata.packages.map((found) => [found.id, found]));
const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));

/** A package and all that is built for it. */
function treeOf(id, seen = new Set()) {
  if (seen.has(id)) return seen;
  seen.add(id);
  const built = nodes.get(id).deps.filter(({ dep_kinds: kinds }) => kinds.some(({ kind }) => kind !== 'dev'));
  for (const { pkg } of built) treeOf(pkg, seen);
  return seen;
}

function isNewer(version, than) {
  const [one, other] = [version, than].map((text) => text.split('.').map(Number));
  const at = [0, 1, 2].find((part) => (one[part] ?? 0) !== (other[part] ?? 0));
  return at !== undefined && (one[at] ?? 0) > (other[at] ?? 0);
}

const crates = metadata.packages.filter(({ source, publish }) => source === null && publish === null);
for (const crate of crates) {
  if (!crate.rust_version) throw new Error(`${crate.name} has no rust-version`);
  const tree = [...treeOf(crate.id)].map((id) => packages.get(id));
  const known = tree.filter((found) => found.rust_version);
  const newer = known.filter((found) => isNewer(found.rust_version, crate.rust_version) && !EXCEPTIONS[found.name]);
  for (const { name, version, rust_version: needed } of newer) {
    console.error(`wrong: ${crate.name} says Rust ${crate.rust_version}, and ${name} ${version} needs ${needed}`);
    process.exitCode = 1;
  }
  const silent = tree.length - known.length;
  if (newer.length === 0) console.log(`${crate.name}: none of ${tree.length} packages asks for more than Rust ${crate.rust_version} (${silent} say nothing)`);
}

if (process.argv.includes('--build') && !process.exitCode) {
  for (const version of new Set(crates.map((crate) => crate.rust_version))) {
    const names = crates.filter((crate) => crate.rust_version === version).map(({ name }) => name);
    // 1.85 is 1.85.0: a later one of its kind may know more
    const toolchain = version.split('.').length === 2 ? `${version}.0` : version;
    execFileSync('rustup', ['toolchain', 'install', toolchain, '--profile', 'minimal', '--no-self-update'], { stdio: 'inherit' });
    const check = [`+${toolchain}`, 'check', '--locked', '--all-features', ...names.flatMap((name) => ['--package', name])];
    execFileSync('cargo', check, { cwd: root, stdio: 'inherit' });
    console.log(`Rust ${toolchain} builds ${names.join(', ')}`);
  }
}
