// What publishers were told and readers have seen, held against what a hub has kept. Everything in it has a name; its data begins
// with that name and goes on in a way that follows from it.

/** The data of the event `name`: from a few bytes to 40 kB. */
export function dataOf(name) {
  let hash = 7;
  for (const letter of name) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  const length = hash % 499 === 0 ? 40_000 : hash % 200;
  return `${name} ${'x'.repeat(length)}`;
}

export function nameOf(data) {
  return data.slice(0, data.indexOf(' '));
}

/** A publish is one name or a batch of them, `NAME.INDEX/LENGTH`, which must not be torn. */
export function batchOf(name) {
  const [, batch, index, length] = /^(.*)\.(\d+)\/(\d+)$/.exec(name) ?? [];
  return batch === undefined ? undefined : { batch, index: Number(index), length: Number(length) };
}

export class History {
  #kept = []; // { id, name, topics }, in order
  #places = new Map(); // name → place in kept
  #names = new Map(); // id → name, over all that was ever answered, seen or read
  #acknowledged = new Map(); // name → { id, sent, answered }
  #faults = [];
  #time = '';
  #epoch;
  #sequence = 0;

  get length() {
    return this.#kept.length;
  }

  get acknowledged() {
    return this.#acknowledged.size;
  }

  get last() {
    return this.#kept.at(-1)?.id;
  }

  /** A publish of these names was answered; `sent` and `answered` are times of one clock. */
  answered(names, ids, sent, answered) {
    if (ids.length !== names.length) this.#fault(`${names.length} events of ${names[0]} were answered with ${ids.length} ids`);
    names.forEach((name, index) => {
      this.#isNamed(ids[index], name, 'answered');
      const before = this.#acknowledged.get(name);
      if (before && before.id !== ids[index]) this.#fault(`${name} was answered as ${before.id} and again as ${ids[index]}`);
      if (!before) this.#acknowledged.set(name, { id: ids[index], sent, answered });
    });
  }

  /** These events, objects as in NDJSON, follow what was kept before. */
  extend(events) {
    for (const { id, type, data, topics, time } of events) {
      if (type.startsWith('oyez.')) {
        this.#fault(`the replay says ${type} ${data} after ${this.last}`);
        continue;
      }
      const name = nameOf(data);
      if (data !== dataOf(name)) this.#fault(`${id} has other data than was published: ${data.slice(0, 80)}`);
      this.#isNamed(id, name, 'replayed');
      if (this.#places.has(name)) this.#fault(`${name} is there twice, as ${this.#kept[this.#places.get(name)].id} and as ${id}`);
      this.#follows(id, time);
      this.#isWhole(name, id);
      this.#places.set(name, this.#kept.length);
      this.#kept.push({ id, name, topics });
    }
  }

  /** A whole replay must be what was put together from its parts. */
  equals(events) {
    const other = events.map(({ id, data }) => `${id} ${nameOf(data)}`);
    const mine = this.#kept.map(({ id, name }) => `${id} ${name}`);
    const at = mine.findIndex((one, index) => one !== other[index]);
    if (at >= 0) this.#fault(`at ${at} the whole replay has ${other[at]}, its parts had ${mine[at]}`);
    else if (other.length > mine.length) this.#fault(`the whole replay goes on with ${other[mine.length]}`);
  }

  /** What a reader of `topics`, all if undefined, has seen from the beginning is how the log begins; all of it if `whole`. */
  saw(reader, events, { topic, whole = false } = {}) {
    const wanted = topic === undefined ? this.#kept : this.#kept.filter(({ topics }) => topics.includes(topic));
    for (const [index, { id, type, data }] of events.entries()) {
      if (type.startsWith('oyez.')) return this.#fault(`${reader} was told ${type} ${data}`);
      const name = nameOf(data);
      this.#isNamed(id, name, `seen by ${reader}`);
      if (data !== dataOf(name)) return this.#fault(`${reader} saw ${id} with other data than was published: ${data.slice(0, 80)}`);
      const kept = wanted[index];
      if (kept?.id !== id) return this.#fault(`${reader} saw ${id} (${name}) where the log has ${kept?.id ?? 'nothing'} (${kept?.name})`);
    }
    if (whole && events.length < wanted.length) this.#fault(`${reader} saw ${events.length} of ${wanted.length} events`);
    return undefined;
  }

  /** All that is wrong, now that nothing more comes. `exactlyOnce` are names that must be there. */
  faults() {
    for (const [name, { id }] of this.#acknowledged) {
      const place = this.#places.get(name);
      if (place === undefined) this.#fault(`${name} was acknowledged as ${id} and is lost`);
    }
    this.#order();
    const open = this.#openBatch();
    if (open) this.#fault(open);
    return this.#faults;
  }

  /** What was answered before another publish was sent stands before it. */
  #order() {
    let earliest = Infinity;
    let which;
    for (const { id, name } of [...this.#kept].reverse()) {
      const times = this.#acknowledged.get(name);
      if (!times) continue;
      if (earliest < times.sent) this.#fault(`${which} was answered before ${name} (${id}) was sent, and stands after it`);
      if (times.answered < earliest) [earliest, which] = [times.answered, name];
    }
  }

  #isNamed(id, name, how) {
    const before = this.#names.get(id);
    if (before !== undefined && before !== name) this.#fault(`the id ${id} names ${before}, and ${name} as ${how}`);
    this.#names.set(id, name);
  }

  #follows(id, time) {
    const [epoch, sequence] = id.split(':');
    if (this.#epoch !== undefined && epoch !== this.#epoch) this.#fault(`the epoch of ${id} follows ${this.#epoch}`);
    if (epoch === this.#epoch && !(Number(sequence) > this.#sequence)) this.#fault(`${id} follows ${this.#epoch}:${this.#sequence}`);
    if (time < this.#time) this.#fault(`the time of ${id}, ${time}, follows ${this.#time}`);
    [this.#epoch, this.#sequence, this.#time] = [epoch, Number(sequence), time];
  }

  /** A batch stands together, from its first event to its last. */
  #isWhole(name, id) {
    const [before, now] = [this.#kept.length ? batchOf(this.#kept.at(-1).name) : undefined, batchOf(name)];
    const begins = !now || now.index === 0;
    const ended = !before || before.index === before.length - 1;
    const goesOn = now && before && now.batch === before.batch && now.index === before.index + 1;
    if (!(goesOn || (begins && ended))) this.#fault(`${name} (${id}) follows ${this.#kept.at(-1)?.name}: a batch is torn`);
  }

  #openBatch() {
    const last = this.#kept.length ? batchOf(this.#kept.at(-1).name) : undefined;
    return last && last.index !== last.length - 1 ? `the log ends within a batch, with ${this.#kept.at(-1).name}` : undefined;
  }

  #fault(what) {
    if (this.#faults.length < FAULTS_TOLD) this.#faults.push(what);
  }
}

const FAULTS_TOLD = 20;
