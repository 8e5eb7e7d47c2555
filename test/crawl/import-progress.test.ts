import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createImportProgress } from '../../services/crawl/import-progress.ts'
import type { Found, Part } from '../../services/crawl/importer.ts'
import { emptyEnvelope } from '../../services/domain/envelope.ts'

function part(size: number | null): Part {
  return { name: 'part', identity: null, size, read: async function* () {} }
}
function item(bytes: number): Found {
  return { kind: 'item', collected: { envelope: emptyEnvelope(), payload: new Uint8Array(bytes) } }
}

test('the bar grows with what is read, by the bytes of the files, and ends full', () => {
  const [one, two] = [part(300), part(100)]
  const progress = createImportProgress([one, two])
  assert.match(progress.text(), /^\[-{24}\] about 0 %, file 1 of 2, $/)
  progress.begin(one)
  progress.saw(item(200))
  assert.match(progress.text(), /^\[#{12}-{12}\] about 50 %, file 1 of 2, $/)
  progress.saw(item(900))
  assert.match(progress.text(), /about 75 %/, 'what is unpacked can be more than the file')
  progress.end(one)
  progress.begin(two)
  progress.saw({ kind: 'left-out', reason: 'status 404' })
  assert.match(progress.text(), /about 75 %, file 2 of 2/)
  progress.end(two)
  assert.match(progress.text(), /^\[#{24}\] about 100 %/)
})

test('where nobody knows how much there is, no bar pretends to', () => {
  const progress = createImportProgress([part(10), part(null)])
  assert.equal(progress.text(), '')
  assert.equal(createImportProgress([]).text(), '')
})
