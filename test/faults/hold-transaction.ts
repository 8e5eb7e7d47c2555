import kafkajs, { type Transaction } from 'kafkajs'
import { z } from 'zod'

/**
 * Loaded before a gate (`node --import`), this holds one of its transactions open for ever, so that a test can kill the gate at exactly
 * that moment. HOLD_TRANSACTION is `<n>:<step>`: the nth transaction, over all lanes, `before-offsets` or `before-commit`; its records
 * are with the broker in both. The event `transaction-held` on stderr says that the moment has come.
 */
const [, nth, step] = z
  .tuple([z.string(), z.coerce.number().int().positive(), z.enum(['before-offsets', 'before-commit'])])
  .parse(/^(\d+):(.+)$/.exec(process.env.HOLD_TRANSACTION ?? ''))

const makeProducer = kafkajs.Kafka.prototype.producer
let begun = 0

kafkajs.Kafka.prototype.producer = function (config) {
  const producer = makeProducer.call(this, config)
  return { ...producer, transaction: async () => holding(await producer.transaction()) }
}

function holding(transaction: Transaction): Transaction {
  let isTheOne = false

  async function passOrHold(at: typeof step): Promise<void> {
    if (!isTheOne || at !== step) return
    process.stderr.write(`${JSON.stringify({ event: 'transaction-held' })}\n`)
    await new Promise(() => undefined)
  }

  return {
    ...transaction,
    async sendBatch(batch) {
      begun += 1
      isTheOne = begun === nth
      return await transaction.sendBatch(batch)
    },
    async sendOffsets(offsets) {
      await passOrHold('before-offsets')
      await transaction.sendOffsets(offsets)
    },
    async commit() {
      await passOrHold('before-commit')
      await transaction.commit()
    },
  }
}
