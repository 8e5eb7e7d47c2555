import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import type { Inspection } from '../../services/domain/fingerprint.ts'
import { answerLines } from '../../services/gate/inspect/answer.ts'
import { createAnswerReader, createLineReader } from '../../services/gate/inspect/answer-reader.ts'
import { createQuestionReader, type Question, questionHead } from '../../services/gate/inspect/question.ts'

const limits = { pixels: 1_000_000, frames: 4, seconds: 1 }
const value = '0'.repeat(64)
const signal = { signal: 'pdq', version: 1, value, quality: 50, frame: 0, transform: 'identity' }
const fine = { id: 7, mediaType: 'image/png', faults: [] }

function json(...lines: object[]): string[] {
  return lines.map((line) => JSON.stringify(line))
}

/** What the first line that settles it makes of an answer to question 7. */
function read(lines: readonly string[]): Inspection | 'garbage' | null {
  const reader = createAnswerReader({ id: 7, limits })
  for (const line of lines) {
    const result = reader(line)
    if (result !== null) return result
  }
  return null
}

const lies: Readonly<Record<string, string[]>> = {
  'no JSON': ['clean'],
  'no object': ['"clean"'],
  'another question': json(signal, { ...fine, id: 8 }),
  'no question': json(signal, { ...fine, id: '7' }),
  'nothing seen, no fault': json(fine),
  'not as it stands first': json({ ...signal, transform: 'mirror' }, fine),
  'no media type, no fault': json(signal, { ...fine, mediaType: null }),
  'an odd media type': json(signal, { ...fine, mediaType: 'picture' }),
  'a long media type': json(signal, { ...fine, mediaType: `image/${'x'.repeat(200)}` }),
  'an unknown signal': json({ ...signal, signal: 'md5' }, signal, fine),
  'another version': json({ ...signal, version: 2 }, fine),
  'a short hash': json({ ...signal, value: value.slice(2) }, fine),
  'a hash that is none': json({ ...signal, value: 'x'.repeat(64) }, fine),
  'a high quality': json({ ...signal, quality: 101 }, fine),
  'a late frame': json(signal, { ...signal, frame: 4 }, fine),
  'an odd transform': json({ ...signal, transform: 'upside down' }, fine),
  'a fault that is not a scanner to find': json(signal, { ...fine, faults: ['KNOWN_EXACT'] }),
  'a field more': json(signal, { ...fine, outcome: 'clean' }),
  'a field less': json(signal, { id: 7, mediaType: 'image/png' }),
  'ready once more': json({ ready: true }, signal, fine),
  'arrays in arrays': ['['.repeat(500), ...json(signal, fine)],
  'far too many signals': [...Array.from({ length: 20_000 }, () => JSON.stringify(signal)), ...json(fine)],
}

test('an answer is what was seen', () => {
  assert.deepEqual(read(json(signal, { ...signal, frame: 3 }, fine)), {
    mediaType: 'image/png',
    fingerprint: [
      { ...signal, value: Buffer.alloc(32) },
      { ...signal, frame: 3, value: Buffer.alloc(32) },
    ],
    faults: [],
  })
  assert.deepEqual(read(json({ id: 7, mediaType: null, faults: ['MEDIA_UNSUPPORTED'] })), {
    mediaType: null,
    fingerprint: [],
    faults: ['MEDIA_UNSUPPORTED'],
  })
})

for (const [lie, lines] of Object.entries(lies)) {
  test(`no answer: ${lie}`, () => assert.equal(read(lines), 'garbage'))
}

test('prototypes are not to be reached', () => {
  const line = '{"id":7,"mediaType":"image/png","faults":[],"__proto__":{"fingerprint":["polluted"]}}'
  const result = read([...json(signal), line])
  assert.ok(result === 'garbage' || (result !== null && result.fingerprint.length === 1))
  assert.equal(Reflect.get({}, 'fingerprint'), undefined)
})

test('whatever a scanner says, it is no answer, and never an error', () => {
  const odd = fc.jsonValue().map((one) => JSON.stringify({ ...signal, frame: one }))
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.json(), fc.string(), odd)), (lines) => {
      const result = read(lines)
      assert.ok(result === null || result === 'garbage')
    }),
  )
})

test('what is written is what is read, however the pipe cuts it', () => {
  const inspection: Inspection = {
    mediaType: 'image/gif',
    fingerprint: [0, 1, 2].map((frame) => ({ ...signal, value: Buffer.alloc(32, frame), frame })),
    faults: ['FRAMES_OVER_LIMIT'],
  }
  fc.assert(
    fc.property(cuts, (at) => {
      const lines: string[] = []
      const reader = createLineReader((line) => lines.push(line))
      for (const piece of cut(Buffer.from(answerLines(7, inspection)), at)) assert.ok(reader(piece))
      assert.deepEqual(read(lines), inspection)
    }),
  )
})

test('questions arrive whole, however the pipe cuts them, and one after the other', async () => {
  const questions = [3, 0, 5000].map((size, id): Question => ({ id, payload: Buffer.alloc(size, '\n{"id":'), limits }))
  const bytes = Buffer.concat(questions.flatMap((one) => [Buffer.from(questionHead(one)), one.payload]))
  await fc.assert(
    fc.asyncProperty(cuts, async (at) => {
      const read: Question[] = []
      let underWay = 0
      const reader = createQuestionReader(async (question) => {
        underWay += 1
        assert.equal(underWay, 1)
        read.push(question)
        await setImmediate()
        underWay -= 1
      })
      for (const piece of cut(bytes, at)) reader(piece)
      while (read.length < questions.length) await setImmediate()
      assert.deepEqual(read, questions)
    }),
  )
})

test('a line that has no end is given up', () => {
  const reader = createLineReader(() => assert.fail('a line'))
  assert.equal(reader(Buffer.alloc(500, 'x')), true)
  assert.equal(reader(Buffer.alloc(500, 'x')), false)
  assert.equal(createLineReader(() => assert.fail('a line'))(Buffer.from(`${'x'.repeat(600)}\n`)), false)
})

const cuts = fc.array(fc.nat({ max: 6000 }), { maxLength: 8 })

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const ends = [...at.map((end) => Math.min(end, bytes.length)), bytes.length].sort((a, b) => a - b)
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}
