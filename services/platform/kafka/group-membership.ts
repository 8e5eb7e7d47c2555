import kafkajs from 'kafkajs'
import { mendClass } from './mend-class.ts'

type Group = {
  memberId: string | null
  joinAndSync(): Promise<void>
  heartbeat(options: object): Promise<void>
}

/**
 * Mends how kafkajs consumers belong to their group:
 *
 * - They join once at a time; whoever asks meanwhile waits for the join that is under way. The library reads from each broker on its own, and
 *   each of these joins the group anew when it finds that leaders have moved. Two at once become two members with one place for the
 *   member's id: one overwrites the other, which the group then waits for in vain, time after time.
 * - A heartbeat of a consumer that is no member fails, so that it joins. A consumer that its group has forgotten forgets its id and joins; when
 *   that fails, because the coordinator goes away just then, the library does not try again but goes on reading: without an id its
 *   heartbeats are not sent, so they never fail, and it stays outside for as long as it runs.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function mendGroupMembership(): void {
  const harm = 'a consumer could be lost to its group'
  mendClass<Group>('consumer/consumerGroup.js', ['joinAndSync', 'heartbeat'], harm, (prototype) => {
    const { joinAndSync, heartbeat } = prototype
    const joining = new WeakMap<Group, Promise<void>>()
    prototype.joinAndSync = function () {
      const before = joining.get(this)
      if (before !== undefined) return before
      const mine = joinAndSync.call(this).finally(() => joining.delete(this))
      joining.set(this, mine)
      return mine
    }
    prototype.heartbeat = function (options) {
      return this.memberId ? heartbeat.call(this, options) : Promise.reject(notAMember())
    }
  })
}

/** What a coordinator answers to somebody whom it does not know; the library joins the group then. */
function notAMember(): Error {
  const what = { type: 'UNKNOWN_MEMBER_ID', code: 25, retriable: false }
  return new kafkajs.KafkaJSProtocolError(Object.assign(new Error('this consumer is no member of its group'), what))
}
