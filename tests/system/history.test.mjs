// The checker of the kill loop: it passes a history that is right, and finds each thing that may be wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataOf, History } from './lib/history.mjs';

const event = (sequence, name, more = {}) => ({ id: `k:${sequence}`, type: 'message', data: dataOf(name), topics: ['t'], time: '2026-01-01T00:00:00.000Z', ...more });
const gap = (sequence) => event(sequence, 'gap', { type: 'oyez.gap' });
const EVENTS = [event(1, 'a'), event(2, 'b.0/2'), event(3, 'b.1/2'), event(70_000, 'c')];

/** What the checker finds in a history that is right but for what `change` does. */
function faults(change) {
  const whole = { history: new History(), kept: [...EVENTS], replay: [...EVENTS], seen: [...EVENTS], answers: [[['a'], ['k:1'], 0, 1], [['b.0/2', 'b.1/2'], ['k:2', 'k:3'], 2, 3], [['c'], ['k:70000'], 2, 5]] };
  change(whole);
  for (const answer of whole.answers) whole.history.answered(...answer);
  whole.history.extend(whole.kept);
  whole.history.equals(whole.replay);
  whole.history.saw('reader', whole.seen, { topic: 't', whole: true });
  return whole.history.faults();
}

test('a history that is right has no fault', () => {
  assert.deepEqual(faults(() => {}), []);
  assert.deepEqual(faults((all) => all.answers.pop()), [], 'what was not answered may be there');
});

const WRONG = {
  'is lost': (all) => { for (const list of ['kept', 'replay', 'seen']) all[list] = all[list].slice(0, 3); },
  'is there twice': (all) => { for (const list of ['kept', 'replay', 'seen']) all[list] = [...all[list], event(70_001, 'c')]; },
  'other data': (all) => { all.kept[0] = event(1, 'a', { data: `${dataOf('a')}y` }); },
  'the id k:1 names': (all) => all.answers.push([['d'], ['k:1'], 8, 9]),
  'answered as': (all) => all.answers.push([['a'], ['k:9'], 8, 9]),
  'answered with 1 ids': (all) => { all.answers[1][1] = ['k:2']; },
  'follows k:3': (all) => { for (const list of ['kept', 'replay', 'seen']) all[list][3] = event(2, 'c'); },
  'the epoch': (all) => { for (const list of ['kept', 'replay', 'seen']) all[list][3] = event(4, 'c', { id: 'j:4' }); },
  'the time': (all) => { all.kept[3] = event(70_000, 'c', { time: '2025-01-01T00:00:00.000Z' }); },
  'a batch is torn': (all) => { for (const list of ['kept', 'replay', 'seen']) all[list] = [EVENTS[0], EVENTS[1], EVENTS[3]]; },
  'the log ends within a batch': (all) => { for (const list of ['kept', 'replay', 'seen']) all[list] = EVENTS.slice(0, 2); },
  'stands after it': (all) => { all.answers[2] = [['c'], ['k:70000'], 0, 0.5]; all.answers[0] = [['a'], ['k:1'], 0.7, 1]; },
  'the replay says oyez.gap': (all) => all.kept.push(gap(70_001)),
  'at 1 the whole replay has': (all) => { all.replay = [EVENTS[0], EVENTS[2], EVENTS[3]]; },
  'the whole replay goes on': (all) => { all.replay = [...EVENTS, event(70_001, 'd')]; },
  'was told oyez.gap': (all) => { all.seen = [...EVENTS, gap(70_001)]; },
  'where the log has k:2': (all) => { all.seen = [EVENTS[0], EVENTS[2]]; },
  'where the log has nothing': (all) => { all.seen = [...EVENTS, event(70_001, 'd')]; },
  'saw 3 of 4': (all) => { all.seen = EVENTS.slice(0, 3); },
  'saw k:1 with other data': (all) => { all.seen = [event(1, 'a', { data: `${dataOf('a')}y` }), ...EVENTS.slice(1)]; },
};

for (const [found, change] of Object.entries(WRONG)) {
  test(`it finds: ${found}`, () => {
    const told = faults(change);
    assert.ok(told.some((fault) => fault.includes(found)), JSON.stringify(told));
  });
}
