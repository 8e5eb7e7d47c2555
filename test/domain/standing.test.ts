import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { type Standing, standingOf } from '../../services/domain/standing.ts'

const cases: Array<[opinions: string[], standing: Standing]> = [
  [[], 'positive'],
  [['positive'], 'positive'],
  [['positive', 'seed'], 'positive'],
  [['positive', 'negative'], 'disputed'],
  [['seed', 'negative'], 'disputed'],
  [['seed'], 'seed'],
  [['seed', 'seed'], 'seed'],
  [['negative'], 'negative'],
  [['negative', 'negative'], 'negative'],
  [['a later word'], 'positive'],
  [['a later word', 'negative'], 'disputed'],
  [['a later word', 'seed'], 'positive'],
]
for (const [words, standing] of cases) {
  test(`${words.join(' and ') || 'no opinion'} makes ${standing}; withdrawn stays withdrawn`, () => {
    const opinions = words.map((opinion, at) => ({ member: String(at), opinion }))
    assert.equal(standingOf({ opinions, withdrawn: false }), standing)
    assert.equal(standingOf({ opinions, withdrawn: true }), 'withdrawn')
  })
}

const someOpinions = fc.array(
  fc.record({ member: fc.string(), opinion: fc.oneof(fc.constantFrom('positive', 'negative', 'seed'), fc.string()) }),
)

test('the order of opinions does not matter, and no word but negative makes an entry harmless', () => {
  fc.assert(
    fc.property(someOpinions, fc.infiniteStream(fc.nat()), (opinions, order) => {
      const standing = standingOf({ opinions, withdrawn: false })
      const others = opinions.map((opinion) => ({ opinion, at: order.next().value })).sort((a, b) => a.at - b.at)
      assert.equal(standingOf({ opinions: others.map(({ opinion }) => opinion), withdrawn: false }), standing)
      const isDenied = opinions.length > 0 && opinions.every(({ opinion }) => opinion === 'negative')
      assert.equal(standing === 'negative', isDenied)
    }),
  )
})
