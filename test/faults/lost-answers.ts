import kafkajs from 'kafkajs'
import { z } from 'zod'

/**
 * Loaded before a gate (`node --import`), this has the first LOST_ANSWERS transactions of chunks end as failures: all but the last of them are
 * aborted, the last one is committed, and only its answer is lost.
 */
const lost = z.coerce.number().int().positive().parse(process.env.LOST_ANSWERS)

const makeProducer = kafkajs.Kafka.prototype.producer
let commits = 0

kafkajs.Kafka.prototype.producer = function (config) {
  const producer = makeProducer.call(this, config)
  if (config?.transactionalId === undefined) return producer
  return {
    ...producer,
    async transaction() {
      const transaction = await producer.transaction()
      return {
        ...transaction,
        async commit() {
          commits += 1
          if (commits > lost) return await transaction.commit()
          await (commits < lost ? transaction.abort() : transaction.commit())
          throw new Error('the answer is lost')
        },
      }
    },
  }
}
