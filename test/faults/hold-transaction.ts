import kafkajs, { type Transaction } from 'kafkajs'
import { z } from 'zod'

/**
 * Where a gate can be held. A lane's producer begins a transaction of no content, which fences the owner before it, and then one for
 * each chunk, in this order.
 */
const steps = [
  'before-fencing',
  'after-fencing',
  'before-begin',
  'before-sends',
  'amid-sends',
  'before-offsets',
  'before-commit',
  'amid-commit',
  'after-commit',
] as const

/**
 * Loaded before a gate (`node --import`), this holds one of its transactions for ever, so that a test can kill the gate at exactly
 * that moment. HOLD_TRANSACTION is `<n>:<step>`: the nth transaction of a chunk (for the first two steps: the nth fencing), over all
 * lanes; where that one fails before it comes so far, the next one that does. The stores are written at `before-begin`; records are with the broker from `amid-sends` on; at `amid-commit` the
 * order to commit is out and nobody waits for the answer; at `after-commit` the answer is there and unread.
 * The event `transaction-held` on stderr says that the moment has come. With `<n>:<step>:freeze` the whole process stops there
 * (SIGSTOP), and goes on when it is let (SIGCONT).
 */
const [, nth, step, freeze] = z
  .tuple([z.string(), z.coerce.number().int().positive(), z.enum(steps), z.string().optional()])
  .parse(/^(\d+):([a-z-]+)(:freeze)?$/.exec(process.env.HOLD_TRANSACTION ?? ''))

const makeProducer = kafkajs.Kafka.prototype.producer
let fencings = 0
let chunks = 0
let held = false

kafkajs.Kafka.prototype.producer = function (config) {
  const producer = makeProducer.call(this, config)
  if (config?.transactionalId === undefined) return producer
  let hasFenced = false
  return {
    ...producer,
    async transaction() {
      if (hasFenced) {
        chunks += 1
        const hold = holderOf(chunks)
        await hold('before-begin')
        return holding(await producer.transaction(), hold)
      }
      hasFenced = true
      fencings += 1
      const hold = holderOf(fencings)
      await hold('before-fencing')
      const fence = await producer.transaction()
      await hold('after-fencing')
      return fence
    },
  }
}

type Hold = (at: typeof step) => Promise<void>

function holderOf(number: number): Hold {
  return async (at) => {
    if (held || number < nth || at !== step) return
    held = true
    process.stderr.write(`${JSON.stringify({ event: 'transaction-held' })}\n`)
    if (freeze === undefined) await new Promise(() => undefined)
    else process.kill(process.pid, 'SIGSTOP')
  }
}

function holding(transaction: Transaction, hold: Hold): Transaction {
  let sends = 0
  return {
    ...transaction,
    async sendBatch(batch) {
      sends += 1
      if (sends <= 2) await hold(sends === 1 ? 'before-sends' : 'amid-sends')
      return await transaction.sendBatch(batch)
    },
    async sendOffsets(offsets) {
      await hold('before-offsets')
      await transaction.sendOffsets(offsets)
    },
    async commit() {
      await hold('before-commit')
      const committed = transaction.commit()
      committed.catch(() => undefined)
      await hold('amid-commit')
      await committed
      await hold('after-commit')
    },
  }
}
