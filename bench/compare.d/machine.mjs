// What it was measured on, and the versions of all that took part.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { PEERS, REPOSITORY } from './folders.mjs';

/** A line each. */
export function machine(targets, bins) {
  const [, system] = readFileSync('/etc/os-release', 'utf8').match(/^PRETTY_NAME="?(.*?)"?$/m) ?? [];
  const settings = Object.entries(process.env).filter(([name]) => /^CARGO_PROFILE_|^RUSTFLAGS$/.test(name));
  const versions = targets.map(({ name }) => [name, VERSIONS[name]?.(bins)]).filter(([, version]) => version);
  return [
    `${cpus()[0].model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB; Linux ${release()}, ${system}`,
    ...versions.map(([name, version]) => `${name}: ${version}`),
    ...(settings.length > 0 ? [`built with ${settings.map((setting) => setting.join('=')).join(' ')}`] : []),
  ];
}

const VERSIONS = {
  oyez: (bins) => `${first(join(bins, 'oyez'), '--version')} at ${commit()}, ${first('rustc', '--version')}`,
  'axum-broadcast': () => ['axum', 'hyper', 'tokio', 'tokio-stream'].map((name) => `${name} ${locked(name)}`).join(', '),
  nchan: () => `${first('/usr/sbin/nginx', '-v').replace('nginx version: ', '')}, nchan ${debian('libnginx-mod-nchan')}`,
  pushpin: () => `${debian('pushpin')}, condure ${debian('condure')}, zurl ${debian('zurl')}`,
  node: () => process.version,
  go: () => `${first('go', 'version').replace('go version ', '')}, go-sse ${readFileSync(join(PEERS, 'go/go.mod'), 'utf8').match(/go-sse (\S+)/)[1]}`,
};

function commit() {
  return first('git', '-C', REPOSITORY, 'describe', '--always', '--dirty', '--exclude', '*');
}

function first(program, ...args) {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return (stdout || stderr || 'unknown').split('\n')[0].trim();
}

function debian(name) {
  return first('dpkg-query', '--show', '--showformat=${Version}', name);
}

function locked(name) {
  const lock = readFileSync(join(REPOSITORY, 'Cargo.lock'), 'utf8');
  return lock.match(new RegExp(`^name = "${name}"\nversion = "(.*)"$`, 'm'))?.[1];
}
