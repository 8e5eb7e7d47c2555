import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { applyAccess, auditAccess, planAccess } from '../../../services/cluster/access/access.ts'
import type { Acl } from '../../../services/cluster/access/acl.ts'
import { auditAcls } from '../../../services/cluster/access/audit-acls.ts'
import { createAcls, deleteAcls, readAcls } from '../../../services/cluster/access/cluster-acls.ts'
import { wantedAcls } from '../../../services/cluster/access/wanted-acls.ts'
import { createKafka, withAdmin } from '../../../services/platform/kafka/client.ts'
import type { Settings } from '../../../services/platform/settings.ts'
import { startSluice } from '../../integration/gate-process.ts'
import { openScope } from '../../integration/harness.ts'
import { waitFor } from '../../integration/waiting.ts'
import { openSecuredBroker, type SecuredBroker } from './secured-broker.ts'
import { shippedAccess } from './shipped-file.ts'

const scope = openScope('audit')
let broker: SecuredBroker
let settings: Settings

before(async () => {
  broker = await openSecuredBroker(scope)
  settings = broker.settingsOf('admin', 'p.')
})
after(() => scope.close())

const right = (acl: Partial<Acl>): Acl => ({
  resource: 'topic',
  name: 'p.gate.clean',
  pattern: 'literal',
  principal: 'User:mallory',
  host: '*',
  operation: 'write',
  permission: 'allow',
  ...acl,
})

/** What the audit finds while there are these rights beside those of the file: `PRINCIPAL could ACT`. */
async function foundWith(acls: readonly Acl[]): Promise<string[]> {
  return await withAdmin(createKafka(settings, 'test'), async (admin) => {
    const until = (what: string, count: number) =>
      waitFor(what, async () => ((await readAcls(admin)) ?? []).length === count, { everyMs: 10 })
    const before = ((await readAcls(admin)) ?? []).length
    await createAcls(admin, acls)
    await until('the rights are there', before + acls.length)
    try {
      const { acts } = await auditAccess(settings, shippedAccess)
      return acts.flatMap(({ act, unexpected }) => unexpected.map(({ principal }) => `${principal} could ${act}`))
    } finally {
      await deleteAcls(admin, acls)
      await until('the rights are gone', before)
    }
  })
}

test('rights are given once, a plan has nothing to tell then, and what was added by hand is taken', async () => {
  const wanted = wantedAcls(shippedAccess, 'p.').length
  assert.equal((await planAccess(settings, shippedAccess)).add.length, wanted)
  assert.equal((await applyAccess(settings, shippedAccess)).add.length, wanted)
  assert.deepEqual(await planAccess(settings, shippedAccess), { add: [], remove: [], kept: wanted })
  const byHand = right({ principal: 'User:crawler' })
  await withAdmin(createKafka(settings, 'test'), (admin) => createAcls(admin, [byHand]))
  const { remove } = await waitFor('the right is seen', async () => {
    const plan = await planAccess(settings, shippedAccess)
    return plan.remove.length > 0 && plan
  })
  assert.deepEqual(remove, [byHand])
  assert.deepEqual((await applyAccess(settings, shippedAccess)).remove, [byHand])
  assert.deepEqual(await planAccess(settings, shippedAccess), { add: [], remove: [], kept: wanted })
  assert.deepEqual(await foundWith([]), [])
})

test('nobody but a super user, or who may, gives rights or sees them', async () => {
  const gate = broker.settingsOf('gate', 'p.')
  await assert.rejects(auditAccess(gate, shippedAccess), { code: 'ACCESS_DENIED', message: /Describe on the cluster/ })
  await assert.rejects(applyAccess(gate, shippedAccess), { code: 'ACCESS_DENIED' })
})

test('who may only look at rights audits too, and is told what the brokers do not show', async () => {
  const look = right({ resource: 'cluster', name: 'kafka-cluster', operation: 'describe', principal: 'User:reports' })
  await withAdmin(createKafka(settings, 'test'), (admin) => createAcls(admin, [look]))
  const reports = broker.settingsOf('reports', 'p.')
  const { acts, unseen } = await waitFor('the right counts', () =>
    auditAccess(reports, shippedAccess).catch(() => null),
  )
  assert.ok(acts.every(({ unexpected }) => unexpected.length === 0))
  assert.deepEqual(
    unseen.map((sentence) => /\((.*)\)/.exec(sentence)?.[1]),
    ['super.users', 'allow.everyone.if.no.acl.found'],
  )
})

test('the commands say by their exit codes whether there is something to do, and whether somebody could too much', async () => {
  const environment = {
    SLUICE_BROKERS: broker.address,
    SLUICE_REGISTRY: 'http://127.0.0.1:1',
    SLUICE_PREFIX: 'r.',
    SLUICE_KAFKA_USERS: broker.users,
  }
  const sluice = async (...words: string[]) => {
    const command = startSluice(['access', ...words, '--json'], environment)
    const { code } = await command.ended
    return { code, said: JSON.parse(command.stdout()) }
  }
  const before = await sluice('plan')
  assert.equal(before.code, 1)
  assert.ok(before.said.add.length > 0)
  assert.equal((await sluice('apply')).code, 0)
  assert.equal((await sluice('plan')).code, 0)
  assert.equal((await sluice('audit')).code, 0)
  const byHand = right({ name: 'r.gate.clean' })
  await withAdmin(createKafka(settings, 'test'), (admin) => createAcls(admin, [byHand]))
  const { said } = await waitFor('the right is found', async () => {
    const audit = await sluice('audit')
    return audit.code === 1 && audit
  })
  const found = said.acts.find(({ act }: { act: string }) => act === 'write gate.clean')
  assert.deepEqual(found.unexpected, [{ principal: 'User:mallory', by: 'allow write on topic r.gate.clean' }])
})

const everyTopic = [
  'crawl.items',
  'gate.clean',
  'gate.quarantine',
  'gate.review',
  'gate.verdicts',
  'gate.envelopes',
  'gate.hash-entries',
  'gate.decisions',
  'gate.recalls',
  'replay.runs',
  'replay.audit',
]
const gateTopics = everyTopic.filter((topic) => topic.startsWith('gate.'))

for (const { what, acls, finds } of [
  { what: 'write clean', acls: [right({})], finds: ['User:mallory could write gate.clean'] },
  {
    what: 'read a held topic',
    acls: [right({ name: 'p.gate.review', operation: 'read' })],
    finds: ['User:mallory could read gate.review'],
  },
  {
    what: 'read envelopes, a principal of ours',
    acls: [right({ name: 'p.gate.envelopes', operation: 'read', principal: 'User:on-call' })],
    finds: ['User:on-call could read gate.envelopes'],
  },
  {
    what: 'read intake',
    acls: [right({ name: 'p.crawl.items', operation: 'read' })],
    finds: ['User:mallory could read crawl.items'],
  },
  {
    what: 'write what begins alike',
    acls: [right({ name: 'p.gate.', pattern: 'prefixed' })],
    finds: gateTopics.map((topic) => `User:mallory could write ${topic}`),
  },
  {
    what: 'write what begins shorter than the prefix',
    acls: [right({ name: 'p', pattern: 'prefixed' })],
    finds: everyTopic.map((topic) => `User:mallory could write ${topic}`),
  },
  {
    what: 'write every topic',
    acls: [right({ name: '*' })],
    finds: everyTopic.map((topic) => `User:mallory could write ${topic}`),
  },
  {
    what: 'do everything with one topic',
    acls: [right({ operation: 'all' })],
    finds: ['write', 'read', 'change or delete'].map((act) => `User:mallory could ${act} gate.clean`),
  },
  {
    what: 'everybody writes clean',
    acls: [right({ principal: 'User:*' })],
    finds: ['User:* could write gate.clean'],
  },
  {
    what: 'nobody in particular writes clean',
    acls: [right({ principal: 'User:ANONYMOUS' })],
    finds: ['User:ANONYMOUS could write gate.clean'],
  },
  {
    what: 'from one host alone',
    acls: [right({ host: '192.0.2.1' })],
    finds: ['User:mallory could write gate.clean'],
  },
  {
    what: "with the lane's transactional ids",
    acls: [right({ resource: 'transactional-id', name: 'p.gate-p.crawl.items-0' })],
    finds: ['User:mallory could be transactional-id gate-*'],
  },
  {
    what: 'with every transactional id',
    acls: [right({ resource: 'transactional-id', name: '*' })],
    finds: ['User:mallory could be transactional-id gate-*', 'User:mallory could be transactional-id replay-*'],
  },
  {
    what: "in the gate's group",
    acls: [right({ resource: 'group', name: 'p.gate', operation: 'read' })],
    finds: ['User:mallory could be group gate'],
  },
  {
    what: "delete the gate's offsets",
    acls: [right({ resource: 'group', name: 'p.ga', pattern: 'prefixed', operation: 'delete' })],
    finds: ['User:mallory could be group gate'],
  },
  {
    what: 'shorten how long clean is kept',
    acls: [right({ operation: 'alter-configs' })],
    finds: ['User:mallory could change or delete gate.clean'],
  },
  {
    what: 'delete a topic',
    acls: [right({ operation: 'delete', name: 'p.gate.envelopes' })],
    finds: ['User:mallory could change or delete gate.envelopes'],
  },
  ...(['alter', 'alter-configs', 'cluster-action', 'all'] as const).map((operation) => ({
    what: `rule the cluster: ${operation}`,
    acls: [right({ resource: 'cluster', name: 'kafka-cluster', operation })],
    finds: ['User:mallory could give rights, set brokers or act as one of them'],
  })),
  { what: 'what does no harm', acls: [right({ operation: 'describe' })], finds: [] },
  { what: 'a topic of others', acls: [right({ name: 'q.gate.clean' })], finds: [] },
  { what: 'what is denied again', acls: [right({}), right({ permission: 'deny', operation: 'all' })], finds: [] },
  {
    what: 'what is denied to everybody',
    acls: [right({}), right({ permission: 'deny', principal: 'User:*', name: 'p.gate.cl', pattern: 'prefixed' })],
    finds: [],
  },
  {
    what: 'what is denied from one host alone',
    acls: [right({}), right({ permission: 'deny', host: '192.0.2.1' })],
    finds: ['User:mallory could write gate.clean'],
  },
  {
    what: 'of everything one act is denied',
    acls: [right({ operation: 'all' }), right({ permission: 'deny' })],
    finds: ['read', 'change or delete'].map((act) => `User:mallory could ${act} gate.clean`),
  },
  {
    what: 'every topic, of which one is denied',
    acls: [right({ name: '*', operation: 'read' }), right({ permission: 'deny', operation: 'read' })],
    finds: everyTopic.filter((topic) => topic !== 'gate.clean').map((topic) => `User:mallory could read ${topic}`),
  },
  {
    what: 'the gate, where it has no business',
    acls: [right({ principal: 'User:gate', name: 'p.gate.', pattern: 'prefixed' })],
    finds: ['gate.hash-entries', 'gate.decisions', 'gate.recalls'].map((topic) => `User:gate could write ${topic}`),
  },
] satisfies Array<{ what: string; acls: Acl[]; finds: string[] }>) {
  test(`the audit finds: ${what}`, async () => {
    assert.deepEqual(await foundWith(acls), finds)
  })
}

test('what the brokers let pass by their own settings is found', () => {
  const acls = wantedAcls(shippedAccess, '')
  const asked = { authorizer: true, everyoneElse: false, superUsers: ['User:admin'] }
  const unexpected = (rights: Partial<typeof asked>, found = acls) =>
    auditAcls(shippedAccess, '', found, { ...asked, ...rights }).filter((each) => each.unexpected.length > 0)
  assert.deepEqual(unexpected({}), [])
  assert.ok(unexpected({ authorizer: false }).some(({ act }) => act === 'write gate.clean'))
  assert.ok(unexpected({ superUsers: ['User:admin', 'User:root'] }).some(({ act }) => act === 'read gate.envelopes'))
  assert.ok(unexpected({ everyoneElse: true }, []).some(({ act }) => act === 'write gate.clean'))
  assert.ok(!unexpected({ everyoneElse: true }).some(({ act }) => act === 'write gate.clean'))
  // The client library can read such a right, and not give it.
  const tokens = right({ resource: 'user', name: 'User:gate', operation: 'create-tokens' })
  assert.deepEqual(
    unexpected({}, [...acls, tokens]).map(({ act }) => act),
    ['make tokens of gate'],
  )
})
