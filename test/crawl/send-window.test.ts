import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createSendWindow, type WindowLimits } from '../../services/crawl/send-window.ts'

const roomy: WindowLimits = { items: 100, bytes: 10_000, batchItems: 10, batchBytes: 1000, lingerMs: 0 }
const made =
  (message: number, bytes = 1) =>
  () =>
    Promise.resolve({ message, bytes })

/** A far side that takes batches and answers when it is told to. */
function createFarSide() {
  const batches: number[][] = []
  const answers: PromiseWithResolvers<number[]>[] = []
  const arrivals: (() => void)[] = []
  return {
    batches,
    async send(batch: number[]): Promise<number[]> {
      const answer = Promise.withResolvers<number[]>()
      batches.push(batch)
      answers.push(answer)
      for (const arrived of arrivals.splice(0)) arrived()
      return await answer.promise
    },
    async batch(at: number): Promise<number[]> {
      for (;;) {
        const batch = batches[at]
        if (batch !== undefined) return batch
        await new Promise<void>((resolve) => arrivals.push(resolve))
      }
    },
    answer(at: number): void {
      answers[at]?.resolve(batches[at] ?? [])
    },
    fail(at: number, error: Error): void {
      answers[at]?.reject(error)
    },
  }
}

test('messages are sent in the order of put, in batches within their limits, one batch at a time', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ bytes: fc.nat(1500), ticks: fc.nat(5) }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      async (wanted, items) => {
        const sent: number[] = []
        let sending = 0
        const window = createSendWindow<number, number>({ ...roomy, items }, async (batch) => {
          assert.equal(++sending, 1)
          assert.ok(batch.length <= roomy.batchItems)
          const bytes = batch.reduce((sum, at) => sum + (wanted[at]?.bytes ?? 0), 0)
          assert.ok(batch.length === 1 || bytes <= roomy.batchBytes)
          await Promise.resolve()
          sent.push(...batch)
          sending--
          return batch
        })
        await Promise.all(
          wanted.map(({ bytes, ticks }, at) =>
            window.put(bytes, async () => {
              for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
              return { message: at, bytes }
            }),
          ),
        )
        await window.flush()
        assert.deepEqual(sent, [...wanted.keys()])
      },
    ),
    { numRuns: 50 },
  )
})

test('put waits while the window is full, and goes on in turn when there is room', async () => {
  const far = createFarSide()
  const window = createSendWindow<number, number>({ ...roomy, items: 2, batchItems: 1 }, far.send)
  await window.put(1, made(0))
  await window.put(1, made(1))
  const entered: number[] = []
  const waiting = [2, 3].map((at) => window.put(1, made(at)).then(() => entered.push(at)))
  await far.batch(0)
  assert.deepEqual(entered, [])
  far.answer(0)
  await waiting[0]
  assert.deepEqual(entered, [2])
  await far.batch(1)
  far.answer(1)
  await waiting[1]
  await far.batch(2)
  far.answer(2)
  await far.batch(3)
  far.answer(3)
  await window.flush()
  assert.deepEqual(far.batches, [[0], [1], [2], [3]])
})

test('the window is also full by bytes, but lets one message in that is larger than all of it', async () => {
  const far = createFarSide()
  const window = createSendWindow<number, number>({ ...roomy, bytes: 100 }, far.send)
  await window.put(500, made(0))
  let entered = false
  const second = window.put(1, made(1)).then(() => {
    entered = true
  })
  await far.batch(0)
  assert.equal(entered, false)
  far.answer(0)
  await second
  await far.batch(1)
  far.answer(1)
  await window.flush()
})

test('a failed batch fails what was accepted behind it, flush tells once, and what comes later is sent', async () => {
  const far = createFarSide()
  const window = createSendWindow<number, number>({ ...roomy, batchItems: 1 }, far.send)
  const first = await window.put(1, made(0))
  const second = await window.put(1, made(1))
  await far.batch(0)
  far.fail(0, new Error('the wire broke'))
  await assert.rejects(first.written, /the wire broke/)
  await assert.rejects(second.written, /the wire broke/)
  await assert.rejects(window.flush(), /the wire broke/)
  const third = await window.put(1, made(2))
  await far.batch(1)
  far.answer(1)
  assert.equal(await third.written, 2)
  await window.flush()
  assert.deepEqual(far.batches, [[0], [2]])
})

test('a message that can not be made is told to its caller and holds up nobody', async () => {
  const window = createSendWindow<number, number>({ ...roomy, items: 1 }, (batch) => Promise.resolve(batch))
  await assert.rejects(
    window.put(1, () => Promise.reject(new Error('no such store'))),
    /no such store/,
  )
  const { written } = await window.put(1, made(1))
  assert.equal(await written, 1)
  await window.flush()
})
