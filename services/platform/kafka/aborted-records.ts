import type { KafkaMessage } from 'kafkajs'
import { z } from 'zod'
import { mendClass } from './mend-class.ts'

type Broker = { fetch(request: object): Promise<unknown> }
type AbortedTransaction = { producerId: string; firstOffset: string }
/** A record as the library has decoded it. */
type FetchedRecord = KafkaMessage & {
  isControlRecord: boolean
  batchContext: { producerId: string; inTransaction: boolean }
}

/** They are what the library goes on with, so no copies will do. */
const partitions = z.array(
  z.object({
    abortedTransactions: z.custom<AbortedTransaction[] | null>((found) => found === null || Array.isArray(found)),
    messages: z.custom<FetchedRecord[]>(Array.isArray),
  }),
)
const answered = z.object({ responses: z.array(z.object({ partitions })) })

/** Version 0 and type 0, 16 bits each. */
const ABORT = Buffer.alloc(4)

/**
 * Has kafkajs hand out nothing of aborted transactions. By itself it takes any record with four zero bytes for a key for the end of one, and hands out
 * what follows; and where transactions of several writers overlap it learns of one of them a record, and hands out what belongs to the next.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function mendAbortedRecords(): void {
  const harm = 'records of aborted transactions would be handed out'
  mendClass<Broker>('broker/index.js', ['fetch'], harm, (prototype) => {
    const { fetch } = prototype
    prototype.fetch = async function (request) {
      const answer = await fetch.call(this, request)
      for (const response of answered.parse(answer).responses) {
        for (const { abortedTransactions, messages } of response.partitions) {
          if (abortedTransactions !== null) withhold(messages, abortedTransactions.splice(0))
        }
      }
      return answer
    }
  })
}

/** Marks what was aborted as control records: the library hands those out to nobody, and moves on behind them. */
function withhold(messages: readonly FetchedRecord[], transactions: readonly AbortedTransaction[]): void {
  if (transactions.length === 0) return
  const toCome = transactions.toSorted((a, b) => Number(a.firstOffset) - Number(b.firstOffset))
  let next = 0
  /** producers in whose aborted transaction this is */
  const aborted = new Set<string>()
  for (const message of messages) {
    for (; Number(toCome[next]?.firstOffset) <= Number(message.offset); next++) {
      aborted.add(toCome[next]?.producerId ?? '')
    }
    const { producerId, inTransaction } = message.batchContext
    if (message.isControlRecord) {
      if (message.key?.equals(ABORT)) aborted.delete(producerId)
    } else if (inTransaction && aborted.has(producerId)) message.isControlRecord = true
  }
}
