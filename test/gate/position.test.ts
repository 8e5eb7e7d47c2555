import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SluiceError } from '../../services/domain/errors.ts'
import { firstToJudge, type Witnesses } from '../../services/gate/position.ts'

const place = { topic: 'crawl.items', partition: 3 }
const door = { low: 100, high: 200 }

const cases: ReadonlyArray<{ name: string; witnesses: Witnesses; first: number | RegExp }> = [
  { name: 'verdicts and offset agree', witnesses: { ...door, judged: 150, committed: 150 }, first: 150 },
  { name: 'everything is judged', witnesses: { ...door, judged: 200, committed: 200 }, first: 200 },
  { name: 'a new door', witnesses: { low: 0, high: 9, judged: 0, committed: -1 }, first: 0 },
  { name: 'an empty door', witnesses: { low: 0, high: 0, judged: 0, committed: -1 }, first: 0 },
  { name: 'the offset has expired', witnesses: { ...door, judged: 150, committed: -1 }, first: 150 },
  { name: 'the client library has lost the offset', witnesses: { ...door, judged: 150, committed: -2 }, first: 150 },
  { name: 'the offset was moved back', witnesses: { ...door, judged: 150, committed: 149 }, first: /149.*150/ },
  { name: 'the offset was moved on', witnesses: { ...door, judged: 150, committed: 151 }, first: /151.*150/ },
  { name: 'the offset was set to nought', witnesses: { ...door, judged: 150, committed: 0 }, first: /is 0,.*150/ },
  { name: 'an offset without verdicts', witnesses: { low: 0, high: 9, judged: 0, committed: 5 }, first: /is 5,.*at 0/ },
  { name: 'items were deleted unjudged', witnesses: { ...door, judged: 90, committed: 90 }, first: /100.*90/ },
  { name: 'all were, and the offset too', witnesses: { low: 100, high: 100, judged: 90, committed: -1 }, first: /100/ },
  { name: 'the first items expired unseen', witnesses: { ...door, judged: 0, committed: -1 }, first: /begins at 100/ },
  { name: 'somebody gives them up', witnesses: { ...door, judged: 90, committed: 100 }, first: 100 },
  { name: 'more than what is lost is given up', witnesses: { ...door, judged: 90, committed: 101 }, first: /101.*90/ },
  {
    name: 'the door was made anew',
    witnesses: { low: 0, high: 5, judged: 150, committed: -1 },
    first: /ends at 5.*150/,
  },
]

for (const { name, witnesses, first } of cases) {
  test(`where a lane begins when ${name}`, () => {
    if (typeof first === 'number') return assert.equal(firstToJudge(place, witnesses), first)
    assert.throws(
      () => firstToJudge(place, witnesses),
      (error: unknown) => error instanceof SluiceError && error.code === 'POSITION_JUMPED' && first.test(error.message),
    )
  })
}

test('whatever is claimed, a lane never begins before the last verdict, and skips nothing that the door still has', () => {
  const offset = fc.integer({ min: 0, max: 20 })
  fc.assert(
    fc.property(offset, fc.integer({ min: -2, max: 20 }), offset, offset, (judged, committed, one, other) => {
      const [low, high] = [Math.min(one, other), Math.max(one, other)]
      try {
        const first = firstToJudge(place, { judged, committed, low, high })
        assert.ok(first >= judged)
        assert.ok(first === judged || first <= low)
      } catch (error) {
        assert.ok(error instanceof SluiceError)
      }
    }),
  )
})
