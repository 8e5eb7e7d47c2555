import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '../../../services/domain/canonical-json.ts'
import {
  offsetsFor,
  type Planned,
  type PlannedPartition,
  parsePlan,
  planOf,
} from '../../../services/domain/replay/replay-plan.ts'

const part: PlannedPartition = {
  partition: 1,
  items: 4,
  offsets: offsetsFor([3, 5, 8, 13]),
  foreseen: offsetsFor([5]),
  verdictsFrom: 3,
  verdictsTo: 17,
  canary: [
    { offset: 3, expected: 'clean' },
    { offset: 13, expected: null },
  ],
}
const content: Planned = {
  version: 1,
  cluster: 'vFj4w1vWQ2uC8oT0x5pQng',
  topic: 'crawl.items',
  plannedAt: 1_790_000_000_000,
  plannedBy: 'on-call',
  why: 'a list was wrong',
  filter: { reasons: ['KNOWN_EXACT'], since: 7 },
  attempts: 3,
  policyHash: 'ab'.repeat(32),
  listVersions: [{ list: 'stand-in', version: 'v1' }],
  partitions: [part, { ...part, partition: 2 }],
}
const plan = planOf(content)
const text = `${JSON.stringify(plan, null, 1)}\n`
const refused = { code: 'PLAN_INVALID' }

test('a plan comes back from its file, and its id is the hash of the rest', () => {
  assert.deepEqual(parsePlan(text, 'plan.json'), plan)
  assert.equal(plan.id, hash('sha256', canonicalJson(content)))
})

test('whatever byte of the file is changed, it is refused, unless it says the same', () => {
  const bytes = Buffer.from(text)
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ mask
      isRefusedOrSame(changed.toString())
    }),
    { numRuns: 2000 },
  )
})

test('whatever is cut out of the file, or put into it, it is refused, unless it says the same', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom('"id":"', ',"why":"another"', '"__proto__":{},', '{}', '0', '\\u0000'),
  )
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(20), piece, (at, length, put) => {
      isRefusedOrSame(text.slice(0, at) + put + text.slice(at + length))
    }),
    { numRuns: 2000 },
  )
})

function isRefusedOrSame(changed: string): void {
  let found: unknown
  try {
    found = parsePlan(changed, 'plan.json')
  } catch (error) {
    assert.throws(() => {
      throw error
    }, refused)
    return
  }
  assert.deepEqual(found, plan)
}

/** Every place in a value, as the way to it. */
function waysIn(value: unknown, way: ReadonlyArray<string | number> = []): Array<ReadonlyArray<string | number>> {
  if (typeof value !== 'object' || value === null) return [way]
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
  return [...(way.length === 0 ? [] : [way]), ...entries.flatMap(([name, each]) => waysIn(each, [...way, name]))]
}

function withoutOrWith(value: unknown, [name, ...rest]: ReadonlyArray<string | number>, put: unknown): unknown {
  if (name === undefined) return put
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...(value as object) }
  const inside = Reflect.get(copy, name)
  const next = withoutOrWith(inside, rest, put)
  if (next === undefined && !Array.isArray(copy)) Reflect.deleteProperty(copy, name)
  else Reflect.set(copy, name, next)
  return copy
}

for (const way of waysIn(plan)) {
  test(`a plan is refused that has another ${way.join(' > ')}, or none`, () => {
    for (const put of [undefined, null, 0, 1, 4, 'x', '', 'review', [], {}, offsetsFor([1, 2, 3, 4])]) {
      const changed = JSON.stringify(withoutOrWith(plan, way, put))
      if (changed === JSON.stringify(plan)) continue
      assert.throws(() => parsePlan(changed, 'plan.json'), refused, `${put}`)
    }
  })
}

const contradictory: Readonly<Record<string, Partial<Planned>>> = {
  'is about nothing': { partitions: [] },
  'has a partition twice': { partitions: [part, part] },
  'has an item twice': { partitions: [{ ...part, offsets: offsetsFor([3, 3, 8, 13]) }] },
  'has items in another order': { partitions: [{ ...part, offsets: offsetsFor([5, 3, 8, 13]) }] },
  'says another number of items': { partitions: [{ ...part, items: 5 }] },
  'lets an item go first twice': { partitions: [{ ...part, canary: [...part.canary, ...part.canary] }] },
  'lets an item go first that it does not have': {
    partitions: [{ ...part, canary: [{ offset: 4, expected: null }] }],
  },
  'foresees an item that it does not have': { partitions: [{ ...part, foreseen: offsetsFor([4]) }] },
  'has offsets that are none': { partitions: [{ ...part, offsets: 'AAAA' }] },
  'would go on for ever': { attempts: 1_000_000_000_000 },
}
for (const [what, more] of Object.entries(contradictory)) {
  test(`a plan that ${what} is refused, though its id is right`, () => {
    assert.throws(() => parsePlan(JSON.stringify(planOf({ ...content, ...more })), 'plan.json'), refused)
  })
}
