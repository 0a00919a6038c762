// The rules. Each fault is one line of text that says where it is and what is wrong.

import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Crate } from './crate.mjs';
import { floorsOf, pictureOf } from './plan.mjs';

/** All that is wrong with the floors of a crate. */
export function faultsOfFloors(root, name) {
  const floors = floorsOf(readFileSync(join(root, PLAN), 'utf8'), name);
  const crate = new Crate(root, name);
  if (crate.files.size === 0) return [`${crate.source} has no file`];
  if (!floors) return [`${PLAN} has no table "| floor | files |" under "### \`${name}\`"`];
  const files = [...crate.files.values()].filter((file) => !file.ofTests);
  const faults = [...faultsOfNames(floors, crate), ...faultsOfLists(files, crate)];
  const places = placed(files.filter((file) => !file.isList), floors, crate, faults);
  const arrows = [...places.keys()].flatMap((from) =>
    [...crate.importsOf(from)].map(([to, line]) => ({ from, to, line })));
  return [...faults, ...upwards(arrows, places, crate), ...circles(arrows, places, crate)];
}

/** All that the picture names and that is not there. */
export function faultsOfPicture(root) {
  const picture = pictureOf(readFileSync(join(root, PLAN), 'utf8'));
  const crates = readdirSync(join(root, 'crates')).map((name) => new Crate(root, name));
  const files = crates.flatMap((crate) => [...crate.files.values()]);
  const isPath = (path) => files.some(({ name }) => name === path || (path.endsWith('/') && name.startsWith(path)));
  const isOf = (file, name) => basename(name) === file || `/${dirname(name)}/`.includes(`/${file}/`);
  const has = ({ file, name }) => files.some((found) =>
    isOf(file, found.name) && (basename(found.name) === name || new RegExp(`\\b${name}\\b`).test(found.code)));
  const isMethod = ({ type, method }) => files.some(({ code }) =>
    new RegExp(`\\b${type}\\b`).test(code) && new RegExp(`\\bfn\\s+${method}\\b`).test(code));
  const wrong = (what) => `${PLAN}: the picture names ${what}`;
  return [
    ...picture.paths.filter((path) => !isPath(path)).map((path) => wrong(`${path}, and no crate has it`)),
    ...picture.pairs.filter((pair) => !has(pair)).map(({ file, name }) => wrong(`${file} ─ ${name}, and no ${file} has ${name}`)),
    ...picture.methods.filter((pair) => !isMethod(pair)).map(({ type, method }) => wrong(`${type}::${method}, which is nowhere`)),
  ];
}

function faultsOfNames(floors, crate) {
  const names = [...crate.files.keys()];
  const isThere = (name) => (name.endsWith('/') ? names.some((file) => file.startsWith(name)) : crate.files.has(name));
  const missing = floors.flatMap((floor) => floor.files.filter((name) => !isThere(name)).map((name) =>
    `${PLAN}:${floor.line}: the floor "${floor.name}" names ${name}, and ${crate.source} has no such file`));
  const all = floors.flatMap((floor) => floor.files);
  const twice = [...new Set(all.filter((name, at) => all.indexOf(name) !== at))];
  return [...missing, ...twice.map((name) => `${PLAN}: ${crate.source}/${name} stands in the floors twice`)];
}

function faultsOfLists(files, crate) {
  return files.filter((file) => file.isList && file.logic !== undefined).map((file) =>
    `${crate.source}/${file.name}.rs:${file.logic}: this file declares and re-exports only; what follows belongs to a file of its own`);
}

/** The files with their floors, 0 at the top; one that has none is a fault. */
function placed(files, floors, crate, faults) {
  const places = new Map();
  const lengthOfFit = (file, named) => (named === file.name || (named.endsWith('/') && file.name.startsWith(named)) ? named.length : 0);
  for (const file of files) {
    const fits = floors.flatMap((floor, level) => floor.files.map((named) => ({ floor, level, length: lengthOfFit(file, named) })));
    const best = fits.reduce((best, fit) => (fit.length > best.length ? fit : best), { length: 0 });
    if (best.length > 0) places.set(file, best);
    else faults.push(`${crate.source}/${file.name}.rs stands on no floor of ${PLAN}`);
  }
  return places;
}

function upwards(arrows, places, crate) {
  const told = ({ from, to, line }) =>
    `${crate.source}/${from.name}.rs:${line}: ${from.name} (floor "${places.get(from).floor.name}") imports ${to.name}`
    + ` (floor "${places.get(to).floor.name}", which is above)`;
  return arrows.filter(({ from, to }) => places.has(to) && places.get(to).level < places.get(from).level).map(told);
}

/** For each knot of files of one floor its shortest circle. */
function circles(arrows, places, crate) {
  const level = arrows.filter(({ from, to }) => places.get(to)?.level === places.get(from).level);
  const knotted = new Set();
  const faults = [];
  for (const file of places.keys()) {
    if (knotted.has(file)) continue;
    const knot = [...places.keys()].filter((other) => other === file || (wayFrom(file, other, level) && wayFrom(other, file, level)));
    if (knot.length < 2) continue;
    for (const member of knot) knotted.add(member);
    const shortest = knot.map((member) => wayFrom(member, member, level)).reduce((best, way) => (way.length < best.length ? way : best));
    const told = shortest.map(({ from, line }) => `${from.name}.rs:${line}`).join(' → ');
    faults.push(`${crate.source}: ${knot.length} files of the floor "${places.get(file).floor.name}" form a circle: ${told} → ${shortest[0].from.name}.rs`);
  }
  return faults;
}

/** The arrows of the shortest way, of one at least. */
function wayFrom(start, goal, arrows) {
  const seen = new Set();
  let ways = [[start, []]];
  while (ways.length > 0) {
    const next = [];
    for (const [file, way] of ways) {
      for (const arrow of arrows.filter(({ from }) => from === file)) {
        if (arrow.to === goal) return [...way, arrow];
        if (!seen.has(arrow.to)) next.push([arrow.to, [...way, arrow]]);
        seen.add(arrow.to);
      }
    }
    ways = next;
  }
  return undefined;
}

const PLAN = 'ARCHITECTURE.md';
