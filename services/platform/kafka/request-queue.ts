import { mendClass } from './mend-class.ts'

type RequestQueue = { pending: readonly unknown[]; scheduleCheckPendingRequests(): void }

/**
 * Lets a connection to a broker rest while nothing waits to be sent. The library looks once a millisecond whether something does, for each
 * connection, for as long as the process runs: an idle gate spends half of its time on that. Whatever comes to wait asks for the look itself.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function mendRequestQueue(): void {
  const harm = 'each connection would wake the process once a millisecond'
  mendClass<RequestQueue>('network/requestQueue/index.js', ['scheduleCheckPendingRequests'], harm, (prototype) => {
    const { scheduleCheckPendingRequests } = prototype
    prototype.scheduleCheckPendingRequests = function () {
      if (this.pending.length > 0) scheduleCheckPendingRequests.call(this)
    }
  })
}
