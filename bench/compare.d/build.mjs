// Building what is built here: ours, and the peers that are sources in this folder.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PEERS, REPOSITORY, TARGET_FOLDER } from './folders.mjs';

/** Builds what `targets` need and gives the folder where it is. */
export function build(targets) {
  const folder = join(TARGET_FOLDER, 'release');
  // two commands: what the peers want of a dependency must not come into the binary
  run('cargo', ['build', '--release', '--package', 'oyez-cli'], REPOSITORY);
  if (targets.some((target) => target.isRust)) run('cargo', ['build', '--release', '--package', 'oyez-bench-peers', '--bins'], REPOSITORY);
  if (targets.some((target) => target.isGo)) {
    mkdirSync(folder, { recursive: true });
    run('go', ['build', '-o', join(folder, 'go-sse'), '.'], join(PEERS, 'go'));
  }
  return folder;
}

function run(program, args, cwd) {
  process.stderr.write(`${program} ${args.join(' ')}\n`);
  const { status, error } = spawnSync(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ended with status ${status}`);
}
