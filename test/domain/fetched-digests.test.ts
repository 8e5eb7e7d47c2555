import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acquisition, emptyEnvelope } from '../../services/domain/envelope.ts'
import { fetchedDigests } from '../../services/domain/fetched-digests.ts'

test('well-formed digests of the bytes as fetched are signals; what is none is passed over', () => {
  const cases: Array<[told: Parameters<typeof acquisition>[0], signals: string[]]> = [
    [{}, []],
    [
      { fetchedMd5: 'A'.repeat(32), fetchedSha1: 'b'.repeat(40), fetchedSha256: '0'.repeat(64) },
      ['md5', 'sha1', 'sha256'],
    ],
    [{ fetchedMd5: 'a'.repeat(31), fetchedSha1: 'g'.repeat(40), fetchedSha256: `${'0'.repeat(63)}\n` }, []],
    [{ fetchedMd5: 'a'.repeat(64), fetchedSha256: '1'.repeat(64) }, ['sha256']],
  ]
  for (const [told, signals] of cases) {
    const found = fetchedDigests({ ...emptyEnvelope(), acquisition: acquisition(told) })
    assert.deepEqual(
      found.map(({ signal }) => signal),
      signals,
    )
    assert.ok(found.every(({ transform }) => transform === 'as-fetched'))
  }
  assert.deepEqual(fetchedDigests(emptyEnvelope()), [])
})
