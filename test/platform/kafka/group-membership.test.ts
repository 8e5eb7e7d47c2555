import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import { mendGroupMembership } from '../../../services/platform/kafka/group-membership.ts'
import { openBench } from '../../integration/harness.ts'
import { waitFor } from '../../integration/waiting.ts'

type Group = { memberId: string | null; joinAndSync(): Promise<void> }
const groupClass = z.custom<{ prototype: Group & { connect(): Promise<void> } }>((found) => typeof found === 'function')

/** A consumer that has joined, the library's idea of its group, and the ids that it has had there. */
async function joined(t: TestContext): Promise<{ group: Group; members: string[] }> {
  mendGroupMembership()
  const bench = await openBench(t, { partitions: 2 })
  const { prototype } = groupClass.parse(createRequire(import.meta.url)('kafkajs/src/consumer/consumerGroup.js'))
  const { connect } = prototype
  const groups: Group[] = []
  prototype.connect = function () {
    groups.push(this)
    return connect.call(this)
  }
  t.after(() => {
    prototype.connect = connect
  })
  const consumer = createKafka(bench.settings, 'group-membership').consumer({
    groupId: randomUUID(),
    sessionTimeout: 6000,
  })
  const members: string[] = []
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    members.push(payload.memberId)
  })
  t.after(() => consumer.disconnect())
  await consumer.subscribe({ topics: [bench.topic('crawl.items')] })
  await consumer.run({ eachBatch: () => Promise.resolve() })
  const group = await waitFor('the consumer has joined', () => members.length === 1 && groups[0])
  return { group, members }
}

test('a consumer that is to join from two sides at once, unknown to its group, joins as one member', async (t) => {
  const { group, members } = await joined(t)
  group.memberId = null
  await Promise.all([group.joinAndSync(), group.joinAndSync()])
  assert.equal(members.length, 2)
  assert.equal(group.memberId, members[1])
})

test('a consumer that its group has forgotten, and that could not join at once, joins', async (t) => {
  const { group, members } = await joined(t)
  // So the library leaves it when a join has failed because of the connection.
  group.memberId = null
  await waitFor('it has joined again', () => members.length > 1)
  assert.equal(group.memberId, members.at(-1))
})
