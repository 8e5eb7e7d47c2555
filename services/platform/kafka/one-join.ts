import { createRequire } from 'node:module'
import { z } from 'zod'

const PATCHED = Symbol('joins its group once at a time')

const groupClass = z.custom<{ prototype: { joinAndSync: (this: object) => Promise<void> } }>(
  (found) =>
    typeof found === 'function' &&
    'prototype' in found &&
    typeof Reflect.get(Object(found.prototype), 'joinAndSync') === 'function',
  'kafkajs is not as expected: its consumer group has no joinAndSync; two joins at once could disturb each other',
)

/**
 * Makes kafkajs consumers join their group once at a time; whoever asks meanwhile waits for the join that is under way. The library reads
 * from each broker on its own, and each of these joins the group anew when it finds that leaders have moved. Two at once become
 * two members with one place for the member's id: one overwrites the other, which the group then waits for in vain, time after time.
 * @throws {Error} when the library's insides are not those that this was written for
 */
export function joinOnceAtATime(): void {
  const { prototype } = groupClass.parse(createRequire(import.meta.url)('kafkajs/src/consumer/consumerGroup.js'))
  if (PATCHED in prototype) return
  const join = prototype.joinAndSync
  const joining = new WeakMap<object, Promise<void>>()
  prototype.joinAndSync = function () {
    const before = joining.get(this)
    if (before !== undefined) return before
    const mine = join.call(this).finally(() => joining.delete(this))
    joining.set(this, mine)
    return mine
  }
  Object.defineProperty(prototype, PATCHED, { value: true })
}
