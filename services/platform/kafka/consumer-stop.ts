import { mendClass } from './mend-class.ts'

type Runner = { running: boolean; fetchManager: { stop(): Promise<void> }; fetch(nodeId: string): Promise<unknown[]> }

/**
 * Makes all readers of a kafkajs consumer stop with it. The library has one for each broker, and makes them anew when brokers come or go; a
 * consumer that is stopped in just that moment gets new ones which nobody stops. They are told that there is nothing to read, ask again
 * at once, and so on without end: no timer, no answer and no signal is ever looked at again.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function mendConsumerStop(): void {
  const harm = 'a consumer that is stopped could hold up the whole process'
  mendClass<Runner>('consumer/runner.js', ['fetch'], harm, (prototype) => {
    const { fetch } = prototype
    prototype.fetch = function (nodeId) {
      // Nobody waits for it: the one that asks here is among those that stop.
      if (!this.running) void this.fetchManager.stop()
      return fetch.call(this, nodeId)
    }
  })
}
