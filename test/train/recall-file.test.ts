import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readRecallFile, recallLines, recallOf } from '../../services/train/dataset/recall-file.ts'
import { recallsOf } from './made-dataset.ts'

const folder = await mkdtemp(join(tmpdir(), 'sluice-recalls-'))
after(() => rm(folder, { recursive: true, force: true }))

const recalls = recallsOf('a'.repeat(64), 'b'.repeat(64), 'c'.repeat(64))
const lines = [...recallLines(recalls)]

async function written(text: string): Promise<string> {
  const file = join(folder, 'recalls.jsonl')
  await writeFile(file, text)
  return file
}

test('recalls come back from a file as they were printed', async () => {
  assert.deepEqual(await readRecallFile(await written(lines.join(''))), recalls)
})

test('a state that nobody knows counts as recalled, a withdrawn one does not', async () => {
  const text = lines.join('').replace('"recalled"', '"withdrawn"').replace('"recalled"', '"another"')
  const read = await readRecallFile(await written(text))
  const found = ['a', 'b', 'c', 'd'].map((letter) => recallOf(read, letter.repeat(64))?.state ?? null)
  assert.deepEqual(found, [null, 'another', 'recalled', null])
})

/** With recalls missing, what was recalled would be taken for what was not. */
const wrong: Array<[string, string, RegExp]> = [
  ['cut short by a line', lines.slice(0, -1).join(''), /is not whole: expected 3 recalls, found 2/],
  ['cut short within a line', lines.join('').slice(0, -40), /line 4: expected what/],
  ['empty', '', /is not whole/],
  ['without its head', lines.slice(1).join(''), /line 1: expected what/],
  ['with a line twice', [...lines.slice(0, 3), lines[2]].join(''), /is not whole/],
  ['with a line more', [...lines, lines[1]].join(''), /is not whole/],
  ['with another digest', lines.join('').replace('aaaa', 'AAAA'), /line 2: expected what/],
  ['endless', 'x'.repeat(100_000), /line 1: expected at most/],
]
for (const [what, text, told] of wrong) {
  test(`a file of recalls that is ${what} is refused`, async () => {
    await assert.rejects(readRecallFile(await written(text)), { code: 'CONFIG_INVALID', message: told })
  })
}

test('a file of recalls that is not there is refused', async () => {
  await assert.rejects(readRecallFile(join(folder, 'nowhere')), { code: 'CONFIG_INVALID', message: /ENOENT/ })
})
