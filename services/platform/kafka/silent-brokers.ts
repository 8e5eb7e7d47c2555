import kafkajs from 'kafkajs'
import { mendClass } from './mend-class.ts'

type Connection = {
  /** host:port */
  broker: string
  socket: { destroy(error: Error): void }
  send(request: object): Promise<unknown>
  processData(data: Buffer): void
}
type Broker = { connect(): Promise<void>; isConnected(): boolean; versions: unknown }
type Ask = (of: { nodeId: string; broker: Broker }) => Promise<unknown>
type BrokerPool = {
  brokers: Readonly<Record<string, Broker>>
  findBroker(wanted: { nodeId: string }): Promise<Broker>
  withBroker(ask: Ask): Promise<unknown>
}

/** A broker that said nothing is asked again after this long. */
const ASK_AGAIN_MS = 10_000

/** when a request was last given up, by host:port, for brokers that have said nothing since; performance.now() */
const silentSince = new Map<string, number>()

/**
 * Makes clients turn away from a broker that stands still with its connections open, as long as others answer:
 *
 * - A request that was not answered in its time ends its connection, and no client of this process asks that broker for a while, unless it says
 *   something after all. The library gives up the request alone and sends the next one there, each time waiting anew, and so do those that try
 *   again: a minute for each question, and a consumer has several before it looks for another coordinator.
 * - A broker counts as connected when it has said on this connection which requests it knows, not before. The library asks that once in a
 *   broker's life, though a system accepts connections for one that stands still; and while it asks, requests of others fail at once.
 * - Any broker can say who coordinates a group. The library asks them in any order, and fails at the first that it can't connect to; connected
 *   ones are asked first, and then the next one.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function mendSilentBrokers(): void {
  const harm = 'a broker that stands still could hold up clients for minutes'
  mendClass<Connection>('network/connection.js', ['send', 'processData'], harm, (prototype) => {
    const { send, processData } = prototype
    prototype.send = async function (request) {
      const { broker } = this
      if (performance.now() - (silentSince.get(broker) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MS) {
        throw new kafkajs.KafkaJSConnectionError('the broker has lately said nothing', { broker })
      }
      try {
        return await send.call(this, request)
      } catch (error) {
        if (!(error instanceof kafkajs.KafkaJSRequestTimeoutError)) throw error
        silentSince.set(broker, performance.now())
        const silent = new kafkajs.KafkaJSConnectionError(error.message, { broker })
        this.socket.destroy(silent)
        throw silent
      }
    }
    prototype.processData = function (data) {
      silentSince.delete(this.broker)
      processData.call(this, data)
    }
  })
  mendClass<Broker>('broker/index.js', ['connect', 'isConnected'], harm, (prototype) => {
    const { connect, isConnected } = prototype
    const known = new WeakSet<Broker>()
    prototype.connect = async function () {
      if (!this.isConnected()) this.versions = null
      await connect.call(this)
      known.add(this)
    }
    prototype.isConnected = function () {
      return known.has(this) && isConnected.call(this)
    }
  })
  mendClass<BrokerPool>('cluster/brokerPool.js', ['findBroker', 'withBroker'], harm, (prototype) => {
    const { withBroker } = prototype
    prototype.withBroker = async function (ask) {
      const brokers = Object.entries(this.brokers)
      if (brokers.length === 0) return await withBroker.call(this, ask)
      for (const [nodeId] of brokers.sort(([, a], [, b]) => Number(b.isConnected()) - Number(a.isConnected()))) {
        try {
          return await ask({ nodeId, broker: await this.findBroker({ nodeId }) })
        } catch {
          // The next one may know.
        }
      }
      return null
    }
  })
}
