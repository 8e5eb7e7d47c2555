import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { parsePolicy } from '../../../services/domain/judge/policy.ts'

const shipped = readFileSync(join(import.meta.dirname, '../../../infra/policy.yaml'), 'utf8')

test('the shipped policy is valid and names the stand-in list', () => {
  const { policy, hash } = parsePolicy(shipped, 'policy.yaml')
  assert.deepEqual(Object.keys(policy.lists), ['stand-in'])
  assert.match(hash, /^[0-9a-f]{64}$/)
})

test('comments, layout and the order of keys do not change the hash; a value does', () => {
  const { policy, hash } = parsePolicy(shipped, 'policy.yaml')
  const turned = Object.fromEntries(Object.entries(policy).reverse())
  assert.equal(parsePolicy(JSON.stringify(turned, null, 4), 'turned.json').hash, hash)
  assert.notEqual(parsePolicy(shipped.replace('frames: 200', 'frames: 201'), 'policy.yaml').hash, hash)
})

const faults: Array<[what: string, from: string | RegExp, to: string, expected: RegExp]> = [
  [
    'an unknown key',
    'distance: 47',
    'distance: 47\n    colour: red',
    /^p\.yaml, line \d+, pdq > wide > colour: there is no such field/,
  ],
  ['a near distance beyond 31', 'distance: 31', 'distance: 32', /^p\.yaml, line \d+, pdq > near > distance: .*31/],
  ['a wide distance beyond 47', 'distance: 47', 'distance: 48', /pdq > wide > distance: .*47/],
  [
    'a wide distance below the near one',
    'distance: 47',
    'distance: 30',
    /pdq > wide > distance: expected a distance that is not below/,
  ],
  ['a missing limit', /^ {2}frames:.*$/m, '', /^p\.yaml, line \d+, limits > frames: expected number/],
  ['an unknown mode', 'mode: enforce', 'mode: ignore', /lists > stand-in > mode: .*enforce/],
  ['a list name that can not be a record key', 'stand-in:', 'Stand/In:', /lists > Stand\/In/],
  ['another file version', /^version: 1$/m, 'version: 2', /^p\.yaml, line \d+, version: expected 1/],
  ['no list at all', / {2}stand-in:\n.*\n.*\n.*/, '  {}', /lists: expected at least one list/],
  ['a key that comes twice', 'mode: enforce', 'mode: enforce\n    mode: shadow', /^p\.yaml, line \d+: not valid YAML/],
  ['an unfinished bracket', /^version: 1$/m, 'version: [1', /^p\.yaml, line \d+: not valid YAML/],
]
for (const [what, from, to, expected] of faults) {
  test(`a policy with ${what} is refused with file, line and field`, () => {
    const text = shipped.replace(from, to)
    assert.notEqual(text, shipped)
    assert.throws(() => parsePolicy(text, 'p.yaml'), { code: 'POLICY_INVALID', message: expected })
  })
}

test('the line that is named is the line of the mistake', () => {
  const text = shipped.replace('distance: 31', 'distance: 32')
  const line = text.split('\n').findIndex((found) => found.includes('distance: 32')) + 1
  assert.throws(() => parsePolicy(text, 'p.yaml'), { message: new RegExp(`line ${line},`) })
})

test('an empty policy file is refused', () => {
  assert.throws(() => parsePolicy('', 'p.yaml'), {
    code: 'POLICY_INVALID',
    message: /^p\.yaml, line 1, the whole file: /,
  })
})
