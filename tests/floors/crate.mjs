// The files of a crate and which of them imports which, seen through what `lib.rs` and `mod.rs` re-export.

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { codeOf, logicIn, modulesOf, pathsOf, usesOf } from './rust.mjs';

/** A file: its `name` is its path in `src` without `.rs`, as the floors have it. */
class File {
  constructor(source, name) {
    const text = readFileSync(join(source, `${name}.rs`), 'utf8');
    const stem = basename(name);
    this.name = name;
    this.isRoot = name === 'lib' || name === 'main';
    /** Where its modules are: `log/` for `log/mod` and for `log`. */
    this.folder = this.isRoot ? '' : stem === 'mod' ? name.slice(0, -3) : `${name}/`;
    /** Declares and re-exports, so whoever imports it imports what is behind it. */
    this.declares = this.isRoot || stem === 'mod';
    /** Does nothing else and stands on no floor; `main` may hold logic. */
    this.isList = this.declares && name !== 'main';
    this.code = codeOf(text);
    this.modules = modulesOf(text);
    this.uses = usesOf(this.code);
    this.logic = logicIn(this.code);
    this.ofTests = false;
  }
}

export class Crate {
  #folders = new Map(); // where its modules are → file

  constructor(root, name) {
    this.source = join('crates', name, 'src');
    const source = join(root, this.source);
    this.files = new Map(namesUnder(source).map((file) => [file, new File(source, file)]));
    for (const file of this.files.values()) this.#folders.set(file.folder, file);
    this.root = this.#folders.get('');
    for (const file of this.files.values()) {
      for (const module of file.modules.tests) this.#markTests(this.#child(file, module));
    }
  }

  /** What `file` imports: each other file with the first line that names it. */
  importsOf(file) {
    const found = new Map();
    for (const { path, name, line } of [...file.uses, ...pathsOf(file.code)]) {
      for (const target of this.#resolve(file, path, name === '*')) {
        if (target !== file && !target.isList && !found.has(target)) found.set(target, line);
      }
    }
    return found;
  }

  #markTests(file) {
    if (!file || file.ofTests) return;
    file.ofTests = true;
    for (const module of file.modules.all) this.#markTests(this.#child(file, module));
  }

  #child(file, module) {
    return file.modules.all.includes(module) ? this.#folders.get(`${file.folder}${module}/`) : undefined;
  }

  #parent(file) {
    return file.isRoot ? file : this.#folders.get(file.folder.replace(/[^/]+\/$/, ''));
  }

  /** The files that have what `path` names in `file`; none when it is of another crate. */
  #resolve(file, [first, ...rest], all, seen = new Set()) {
    const step = `${file.name} ${first}`;
    if (seen.has(step)) return [];
    const start = { crate: this.root, self: file, super: this.#parent(file) }[first] ?? this.#child(file, first);
    if (start) return this.#walk(start, rest, all, seen);
    const use = file.uses.find(({ name }) => name === first);
    return use ? this.#resolve(file, [...use.path, ...rest], all, new Set([...seen, step])) : [];
  }

  #walk(file, [first, ...rest], all, seen) {
    if (first === undefined) return all && file.isList ? this.#allOf(file, seen) : [file];
    const next = first === 'super' ? this.#parent(file) : this.#child(file, first);
    if (next) return this.#walk(next, rest, all, seen);
    // a re-export: whoever imports it imports the file behind it
    if (file.declares && file.uses.some(({ name }) => name === first)) return this.#resolve(file, [first, ...rest], all, seen);
    const globs = file.declares ? file.uses.filter(({ name }) => name === '*') : [];
    return [file, ...globs.flatMap(({ path }) => this.#resolve(file, path, true, seen))];
  }

  #allOf(file, seen) {
    return file.uses.flatMap(({ path, name }) => this.#resolve(file, path, name === '*', seen));
  }
}

function namesUnder(folder, before = '') {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).sort().flatMap((entry) => {
    if (statSync(join(folder, entry)).isDirectory()) return namesUnder(join(folder, entry), `${before}${entry}/`);
    return entry.endsWith('.rs') ? [before + entry.slice(0, -3)] : [];
  });
}
