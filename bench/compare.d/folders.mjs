// Where things are.
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
export const PEERS = fileURLToPath(new URL('../peers', import.meta.url));
/** Cargo's. */
export const TARGET_FOLDER = resolve(REPOSITORY, process.env.CARGO_TARGET_DIR || 'target');
