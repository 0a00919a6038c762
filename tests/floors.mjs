#!/usr/bin/env node
// Usage: node tests/floors.mjs CRATE… [--picture]: fails when a file of a crate imports from a floor above its own, when files of one
// floor form a circle, and when the floors or the picture name what is not there.
// ARCHITECTURE.md has the floors, a table `floor | files` under the heading of each crate, the top floor first. `log/` stands for all
// files under it that are not named themselves. Tests and files that only declare and re-export stand on no floor.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { faultsOfFloors, faultsOfPicture } from './floors/check.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const checks = process.argv.slice(2).map((argument) => argument === '--picture'
  ? { what: 'the picture names what is there', faults: faultsOfPicture(root) }
  : { what: `${argument} imports downwards only, file by file`, faults: faultsOfFloors(root, argument) });
for (const { what, faults } of checks) {
  for (const fault of faults) console.error(`wrong: ${fault}`);
  if (faults.length === 0) console.log(what);
}
if (checks.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
