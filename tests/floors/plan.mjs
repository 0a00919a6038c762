// What ARCHITECTURE.md says: the floors of each crate, and the picture of the path of one event.

/** The floors of a crate, the top one first: `{ name, files, line }`; undefined without a table. */
export function floorsOf(architecture, crate) {
  const lines = architecture.split('\n');
  const heading = lines.findIndex((line) => line.startsWith(`### \`${crate}\``));
  if (heading < 0) return undefined;
  const length = lines.slice(heading + 1).findIndex((line) => /^##/.test(line));
  const end = length < 0 ? lines.length : heading + 1 + length;
  const header = lines.findIndex((line, at) => at > heading && at < end && /^\|\s*floor\s*\|\s*files\s*\|/.test(line));
  if (header < 0) return undefined;
  const floors = [];
  for (let at = header + 2; lines[at]?.startsWith('|'); at += 1) {
    const [, name, files] = lines[at].split('|').map((cell) => cell.trim());
    floors.push({ name, files: namedIn(files), line: at + 1 });
  }
  return floors;
}

/** In backticks, what stands in brackets aside: that says what a file has. */
function namedIn(cell) {
  let text = cell;
  while (/\([^()]*\)/.test(text)) text = text.replace(/\([^()]*\)/g, '');
  return [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
}

/** Of the picture: `paths` (`serve/`, `routes/publish`), `pairs` (`hub ─ Core::append`: the file has it) and `methods`. */
export function pictureOf(architecture) {
  const [, text = ''] = /\n## The path of one event\n+```\n(.*?)\n```/s.exec(architecture) ?? [];
  return {
    paths: [...text.matchAll(/(?<![\w/…])[a-z_]+\/[a-z_/]*/g)].map(([path]) => path),
    pairs: [...text.matchAll(/(?<![\w/])([a-z_]+) ─ (\w+)/g)].map(([, file, name]) => ({ file, name })),
    methods: [...text.matchAll(/\b([A-Z]\w+)::(\w+)/g)].map(([, type, method]) => ({ type, method })),
  };
}
