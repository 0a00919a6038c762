// Reads Rust source as far as the floors need it: which paths a file names outside its tests, and whether it only declares.

/** The source with all that is no code blanked out: comments, what strings hold, and items under `#[cfg(test)]`. */
export function codeOf(text) {
  const code = text.replace(NO_CODE, (part) => (part.endsWith('"') ? `"${blank(part.slice(2))}"` : blank(part)));
  return withoutTests(code);
}

/** Modules declared as `mod name;`, with those that only tests have in `tests`. */
export function modulesOf(text) {
  const names = (code) => [...code.matchAll(/\bmod\s+(\w+)\s*;/g)].map(([, name]) => name);
  const all = names(text.replace(NO_CODE, blank));
  const usual = new Set(names(codeOf(text)));
  return { all, tests: all.filter((name) => !usual.has(name)) };
}

/** Each name that a `use` of `code` brings in: its path, the name it gets (`*` for all), and its line. */
export function usesOf(code) {
  return [...code.matchAll(USE)].flatMap(({ 1: tree, index }) =>
    leavesOf(tree).map((path) => ({ ...path, line: lineAt(code, index) })));
}

/** Every path of several segments that `code` names outside its `use` lines, and its line. */
export function pathsOf(code) {
  const body = code.replace(USE, blank);
  return [...body.matchAll(/(?<!\w|::)[A-Za-z_]\w*(?:::\w+)+/g)].map(({ 0: path, index }) =>
    ({ path: path.split('::'), line: lineAt(code, index) }));
}

/** The line of the first thing in `code` that neither declares a module nor re-exports, or undefined. */
export function logicIn(code) {
  let rest = code;
  for (const { index, end } of attributesOf(code)) rest = blankBetween(rest, index, end);
  for (const { index } of rest.matchAll(/\bmacro_rules!/g)) rest = blankBetween(rest, index, closing(rest, rest.indexOf('{', index)));
  const at = rest.replace(DECLARATION, blank).search(/\S/);
  return at < 0 ? undefined : lineAt(code, at);
}

/** `a::{b, c::{self, d as e}}` as its leaves. */
function leavesOf(tree, before = []) {
  const brace = tree.indexOf('{');
  if (brace >= 0) {
    const path = [...before, ...segments(tree.slice(0, brace))];
    return partsOf(tree.slice(brace + 1, tree.lastIndexOf('}'))).flatMap((part) => leavesOf(part, path));
  }
  const [text, as] = tree.split(/\s+as\s+/);
  const path = [...before, ...segments(text)];
  if (path.at(-1) === 'self' && path.length > 1) path.pop();
  return path.at(-1) === '*' ? [{ path: path.slice(0, -1), name: '*' }] : [{ path, name: as?.trim() ?? path.at(-1) }];
}

const segments = (text) => text.split('::').map((segment) => segment.trim()).filter(Boolean);

/** What commas divide, outside braces. */
function partsOf(text) {
  const parts = [''];
  let depth = 0;
  for (const letter of text) {
    if (letter === '{') depth += 1;
    if (letter === '}') depth -= 1;
    if (letter === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += letter;
  }
  return parts.filter((part) => part.trim());
}

function withoutTests(code) {
  for (const { index, end, text } of attributesOf(code)) {
    const condition = /^#!?\[cfg\((.*)\)\]$/s.exec(text)?.[1];
    if (condition && needsTest(condition)) code = blankBetween(code, index, itemEnd(code, end));
  }
  return code;
}

/** Whether a `cfg` condition holds under `cargo test` only. */
function needsTest(condition) {
  const [, word, inner] = /^\s*(all|any)\((.*)\)\s*$/s.exec(condition) ?? [];
  if (word === 'all') return listOf(inner).some(needsTest);
  if (word === 'any') return listOf(inner).every(needsTest);
  return ['test', 'doctest'].includes(condition.trim());
}

const listOf = (text) => partsOf(text.replaceAll('(', '{').replaceAll(')', '}')).map((part) => part.replaceAll('{', '(').replaceAll('}', ')'));

function* attributesOf(code) {
  for (const { index } of code.matchAll(/#!?\[/g)) {
    const end = closing(code, code.indexOf('[', index));
    yield { index, end, text: code.slice(index, end) };
  }
}

/** After the item, field or arm that begins at `at`. */
function itemEnd(code, at) {
  const rest = code.slice(at).replace(/^(\s*#\[[^\]]*\])*/, blank);
  const untilSemicolon = /^\s*(pub(\([^)]*\))?\s+)?(use|static|type|const(?!\s+fn))\s/.test(rest);
  const isItem = untilSemicolon || /^\s*(pub(\([^)]*\))?\s+)?(const|async|unsafe|fn|mod|impl|struct|enum|trait|macro_rules!)/.test(rest);
  for (let i = at; i < code.length; i += 1) {
    if (code[i] === ';' || (code[i] === ',' && !isItem)) return i + 1;
    if (')]}'.includes(code[i])) return i;
    if (!'([{'.includes(code[i])) continue;
    const braced = code[i] === '{';
    i = closing(code, i) - 1;
    if (braced && !untilSemicolon) return i + 1;
  }
  return code.length;
}

/** After the bracket that closes the one at `open`. */
function closing(code, open) {
  let depth = 0;
  for (let i = open; i < code.length; i += 1) {
    if ('([{'.includes(code[i])) depth += 1;
    if (')]}'.includes(code[i])) depth -= 1;
    if (depth === 0) return i + 1;
  }
  return code.length;
}

const blank = (text) => text.replace(/[^\n]/g, ' ');
const blankBetween = (code, from, to) => code.slice(0, from) + blank(code.slice(from, to)) + code.slice(to);
const lineAt = (code, index) => code.slice(0, index).split('\n').length;

const USE = /(?<!\w)use\s+([^;]+);/g;
const DECLARATION = /(pub(\([^)]*\))?\s+)?((mod|use|extern\s+crate)\s[^;{]*(\{[^;]*\})?\s*;)|compile_error!\s*\([^)]*\);/g;
// comments, raw strings, strings, characters
const NO_CODE = /\/\/[^\n]*|\/\*.*?\*\/|\b[bc]?r(#*)".*?"\1|\b[bc]?"(?:\\.|[^"\\])*"|"(?:\\.|[^"\\])*"|'(?:\\u\{\w+\}|\\x..|\\.|[^'\\\n])'/gsu;
