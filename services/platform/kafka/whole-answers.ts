import type { Socket } from 'node:net'
import { giveBack } from '../give-back.ts'
import { mendClass } from './mend-class.ts'

type Connection = {
  socket: Socket | null
  /** what has come of the next answer, and how many bytes of it must be there before it is looked at */
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  isConnected(): boolean
  connect(): Promise<boolean>
  processData(data: Buffer): void
}

/** The length of an answer stands before it. */
const LENGTH_BYTES = 4
/** An answer with so much still to come is put together by us. */
const LONG_BYTES = 262_144
/** Nobody is believed to send more: memory for it is not taken before it has come. */
const LONGEST_BYTES = 67_108_864

/**
 * Mends how kafkajs puts answers together from the pieces that come:
 *
 * - Each connection begins with nothing. The library makes another connection in the same place, and what had come of an answer when the one before broke
 *   off stands before the first answer of the next: all that comes is waited for in vain then, or read as something else.
 * - A long answer is put together as it comes, where it will be read, and each piece is given back at once. The library keeps the pieces of 64 KiB until the last has
 *   come, and copies them then: each fetch takes its memory twice.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function mendWholeAnswers(): void {
  const harm = 'what is left of one connection could be taken for the answers of the next'
  mendClass<Connection>('network/connection.js', ['connect', 'isConnected', 'processData'], harm, (prototype) => {
    const { connect, processData } = prototype
    const underWay = new WeakMap<Connection, { answer: Buffer; filled: number }>()
    const connecting = new WeakMap<Connection, Promise<boolean>>()
    prototype.connect = function () {
      // One that is only connecting has brought nothing yet, and whoever waits for it goes on waiting.
      const isUnderWay = connecting.has(this) && this.socket?.destroyed === false
      if (!this.isConnected() && !isUnderWay) {
        this.socket?.destroy()
        underWay.delete(this)
        Object.assign(this, { chunks: [], bytesBuffered: 0, bytesNeeded: LENGTH_BYTES })
      }
      const mine = connect.call(this)
      connecting.set(this, mine)
      const settled = (): void => {
        if (connecting.get(this) === mine) connecting.delete(this)
      }
      mine.then(settled, settled)
      return mine
    }
    prototype.processData = function (data) {
      const begun = underWay.get(this)
      if (begun === undefined) {
        processData.call(this, data)
        const answer = longAnswer(this)
        if (answer !== null) underWay.set(this, answer)
        return
      }
      const { answer } = begun
      const taken = data.copy(answer, begun.filled)
      begun.filled += taken
      if (begun.filled === answer.length) {
        underWay.delete(this)
        processData.call(this, answer)
      }
      if (taken < data.length) this.processData(data.subarray(taken))
      // What was read from a socket has its memory for itself.
      else if (data.length === data.buffer.byteLength) giveBack(data)
    }
  })
}

/** Takes over what a connection has of a long answer. */
function longAnswer(connection: Connection): { answer: Buffer; filled: number } | null {
  const { chunks, bytesBuffered, bytesNeeded } = connection
  if (bytesNeeded - bytesBuffered < LONG_BYTES || bytesNeeded > LONGEST_BYTES) return null
  const answer = Buffer.allocUnsafeSlow(bytesNeeded)
  let filled = 0
  for (const chunk of chunks) filled += chunk.copy(answer, filled)
  Object.assign(connection, { chunks: [], bytesBuffered: 0 })
  return { answer, filled }
}
