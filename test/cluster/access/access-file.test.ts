import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse, parseAllDocuments, stringify } from 'yaml'
import { parseAccessFile } from '../../../services/cluster/access/access-file.ts'
import type { Acl } from '../../../services/cluster/access/acl.ts'
import { compareAcls } from '../../../services/cluster/access/compare-acls.ts'
import { strimziUsers } from '../../../services/cluster/access/strimzi.ts'
import { wantedAcls } from '../../../services/cluster/access/wanted-acls.ts'
import { type Principal, principals } from '../../../services/domain/principals.ts'
import { accessText, shippedAccess } from './shipped-file.ts'

/** The shipped file with something else for one principal. */
function withRights(principal: Principal, rights: object): string {
  const file = parse(accessText)
  return stringify({ ...file, principals: { ...file.principals, [principal]: rights } })
}

for (const { fault, text, message } of [
  { fault: 'broken YAML', text: 'principals: [', message: /^access\.yaml, line \d+: not valid YAML/ },
  {
    fault: 'a topic that there is not',
    text: accessText.replace('write: [crawl.items]', 'write: [crawl.item]'),
    message: /^access\.yaml, line \d+, principals > crawler > write > 0: expected one of crawl\.items, /,
  },
  {
    fault: 'an unknown right',
    text: withRights('lists', { reed: [] }),
    message: /lists > reed: there is no such field/,
  },
  {
    fault: 'a principal that there is not',
    text: accessText.replace('  trainer:', '  trayner:'),
    message: /principals > trayner|principals > trainer/,
  },
  {
    fault: 'every group',
    text: withRights('trainer', { groups: ['*'] }),
    message: /trainer > groups > 0: expected a name/,
  },
  {
    fault: 'rights beside those of a super user',
    text: withRights('admin', { super: true, read: ['gate.clean'] }),
    message: /admin > super: a super user/,
  },
] as const) {
  test(`an access file with ${fault} is refused with file, line and field`, () => {
    assert.throws(() => parseAccessFile(text, 'access.yaml'), { code: 'CONFIG_INVALID', message })
  })
}

for (const { who, rights, message } of [
  { who: 'crawler', rights: { write: ['gate.clean'] }, message: /crawler > write > 0: .* never .* gate\.clean/ },
  { who: 'crawler', rights: { read: ['crawl.items'] }, message: /crawler > read > 0/ },
  { who: 'crawler', rights: { transactions: ['crawler-*'] }, message: /crawler > transactions: .* expected none/ },
  { who: 'crawler', rights: { groups: ['crawler'] }, message: /crawler > groups/ },
  { who: 'lists', rights: { write: ['gate.hash-entries', 'gate.verdicts'] }, message: /lists > write > 1/ },
  { who: 'recall', rights: { write: ['gate.quarantine'] }, message: /recall > write > 0/ },
  { who: 'review', rights: { write: ['gate.review'] }, message: /review > write > 0/ },
  { who: 'replay', rights: { write: ['gate.clean'] }, message: /replay > write > 0/ },
  { who: 'replay', rights: { write: ['gate.decisions'] }, message: /replay > write > 0/ },
  { who: 'review', rights: { transactions: ['review'] }, message: /review > transactions/ },
  { who: 'on-call', rights: { read: ['gate.verdicts', 'gate.quarantine'] }, message: /on-call > read > 1/ },
  { who: 'on-call', rights: { read: ['gate.envelopes'] }, message: /on-call > read > 0/ },
  { who: 'trainer', rights: { read: ['gate.clean', 'gate.verdicts'] }, message: /trainer > read > 1/ },
  { who: 'trainer', rights: { write: ['gate.recalls'] }, message: /trainer > write > 0: .* expected none/ },
  { who: 'gate', rights: { super: true }, message: /gate > super: nobody but admin/ },
] as const) {
  test(`no file can allow ${who} ${JSON.stringify(rights)}`, () => {
    assert.throws(() => parseAccessFile(withRights(who, rights), 'access.yaml'), { code: 'CONFIG_INVALID', message })
  })
}

const right = (acl: Partial<Acl>): Acl => ({
  resource: 'topic',
  name: 'p.gate.clean',
  pattern: 'literal',
  principal: 'User:trainer',
  host: '*',
  operation: 'write',
  permission: 'allow',
  ...acl,
})

for (const { what, acl, removed } of [
  { what: 'a topic of this prefix', acl: right({}), removed: true },
  { what: 'how topics of this prefix begin', acl: right({ name: 'p.gate.', pattern: 'prefixed' }), removed: true },
  { what: 'all of this prefix', acl: right({ name: 'p.', pattern: 'prefixed' }), removed: true },
  { what: "the gate's group", acl: right({ resource: 'group', name: 'p.gate', operation: 'read' }), removed: true },
  { what: 'a denial', acl: right({ permission: 'deny' }), removed: true },
  { what: 'one host', acl: right({ operation: 'read', host: '192.0.2.1' }), removed: true },
  { what: 'a prefix within this one', acl: right({ name: 'p.q.gate.clean' }), removed: false },
  { what: 'another prefix', acl: right({ name: 'q.gate.clean' }), removed: false },
  { what: 'more than this prefix', acl: right({ name: 'p', pattern: 'prefixed' }), removed: false },
  { what: 'every topic', acl: right({ name: '*' }), removed: false },
  { what: 'a topic that is not ours', acl: right({ name: 'p.elsewhere' }), removed: false },
  { what: "somebody else's", acl: right({ principal: 'User:billing' }), removed: false },
  { what: "everybody's", acl: right({ principal: 'User:*' }), removed: false },
  {
    what: 'the cluster',
    acl: right({ resource: 'cluster', name: 'kafka-cluster', operation: 'alter' }),
    removed: false,
  },
]) {
  test(`a right on ${what} is ${removed ? 'taken' : 'left alone'}`, () => {
    const wanted = wantedAcls(shippedAccess, 'p.')
    const plan = compareAcls(shippedAccess, 'p.', [...wanted, acl])
    assert.deepEqual(plan, { add: [], remove: removed ? [acl] : [], kept: wanted.length })
  })
}

test('without a prefix, rights of those who have one are left alone', () => {
  const others = wantedAcls(shippedAccess, 't-1.')
  assert.deepEqual(compareAcls(shippedAccess, '', others).remove, [])
})

test('Strimzi gets a user for every principal but the super user, with the same rights', () => {
  const users = parseAllDocuments(strimziUsers(shippedAccess, 'p.', 'store')).map((document) => document.toJS())
  assert.deepEqual(
    users.map(({ metadata }) => metadata.name),
    principals.filter((principal) => principal !== 'admin'),
  )
  assert.deepEqual(users[0], {
    apiVersion: 'kafka.strimzi.io/v1beta2',
    kind: 'KafkaUser',
    metadata: { name: 'crawler', labels: { 'strimzi.io/cluster': 'store' } },
    spec: {
      authentication: { type: 'scram-sha-512' },
      authorization: {
        type: 'simple',
        acls: [
          {
            resource: { type: 'topic', name: 'p.crawl.items', patternType: 'literal' },
            operations: ['Write'],
            host: '*',
          },
          {
            resource: { type: 'topic', name: 'p.crawl.items', patternType: 'literal' },
            operations: ['DescribeConfigs'],
            host: '*',
          },
        ],
      },
    },
  })
  const count = users.reduce((sum, { spec }) => sum + spec.authorization.acls.length, 0)
  assert.equal(count, wantedAcls(shippedAccess, 'p.').length)
  const { acls } = users[principals.indexOf('gate')].spec.authorization
  assert.ok(
    acls.some(
      ({ resource }: { resource: object }) =>
        JSON.stringify(resource) === '{"type":"transactionalId","name":"p.gate-","patternType":"prefix"}',
    ),
  )
})
