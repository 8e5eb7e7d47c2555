import { kafkaPrincipal, principals } from '../../domain/principals.ts'
import { topics } from '../../domain/topics.ts'
import type { AccessFile } from './access-file.ts'
import { type Acl, ANY, aclText, covers, EVERYBODY, type Names, namesText, type Operation, overlap } from './acl.ts'
import { rightsOf, topicNamed } from './wanted-acls.ts'

/** What the brokers' own settings say about rights; null where they do not let it be seen. */
export type BrokerRights = {
  /** false: nobody is asked for rights */
  authorizer: boolean | null
  /** whether everybody may do what no right speaks of */
  everyoneElse: boolean | null
  /** `User:admin`, ... */
  superUsers: readonly string[] | null
}

/** Who could do one thing. */
export type AuditedAct = {
  /** `write gate.clean` */
  act: string
  /** principals who could, and shall be able to */
  expected: string[]
  /** principals who could and shall not, and by what */
  unexpected: Array<{ principal: string; by: string }>
}

type Act = { text: string; names: Names; operations: readonly Operation[]; allowed: ReadonlySet<string> }

/**
 * Who could do what with the topics, groups and transactional ids of this prefix, and with the cluster itself, whoever gave the right and however wide it is.
 * @param acls every right of the cluster
 */
export function auditAcls(
  file: AccessFile,
  prefix: string,
  acls: readonly Acl[],
  { authorizer, everyoneElse, superUsers }: BrokerRights,
): AuditedAct[] {
  const supers = principals.filter((principal) => file.principals[principal].super).map(kafkaPrincipal)
  return actsOf(file, prefix).map((act) => {
    const able: AuditedAct['unexpected'] = holders(act, acls).map((acl) => ({
      principal: acl.principal,
      by: aclText(acl),
    }))
    if (authorizer === false)
      able.push({ principal: EVERYBODY, by: 'the brokers ask nobody for rights (authorizer.class.name)' })
    if (everyoneElse === true && !acls.some((acl) => overlap(acl, act.names)))
      able.push({ principal: EVERYBODY, by: 'nothing is said about it (allow.everyone.if.no.acl.found)' })
    for (const principal of superUsers ?? []) able.push({ principal, by: 'a super user (super.users)' })
    const isExpected = ({ principal }: { principal: string }): boolean =>
      act.allowed.has(principal) || supers.includes(principal)
    const expected = new Set([...able.filter(isExpected).map(({ principal }) => principal)])
    return { act: act.text, expected: [...expected], unexpected: able.filter((each) => !isExpected(each)) }
  })
}

/** Everything that is looked at. */
function actsOf(file: AccessFile, prefix: string): Act[] {
  const rights = rightsOf(file, prefix)
  const allowedTo = (operation: Operation, names: Names): ReadonlySet<string> =>
    new Set(
      rights
        .filter((right) => right.operation === operation && covers(right, names))
        .map(({ principal }) => kafkaPrincipal(principal)),
    )
  const nobody: ReadonlySet<string> = new Set()
  // Groups that are made for one reading keep nothing; those that somebody comes back to say where it goes on.
  const own = new Map<string, Names>()
  for (const { resource, name, pattern } of rights) {
    if (resource === 'topic' || name.endsWith('-follow-')) continue
    own.set(JSON.stringify([resource, name, pattern]), { resource, name, pattern })
  }
  const cluster: Names = { resource: 'cluster', name: 'kafka-cluster', pattern: 'literal' }
  return [
    ...topics.flatMap((topic): Act[] => {
      const names = topicNamed(prefix, topic)
      const act = (text: string, allowed: ReadonlySet<string>, ...operations: Operation[]): Act => {
        return { text: `${text} ${topic}`, names, operations, allowed }
      }
      return [
        act('write', allowedTo('write', names), 'write'),
        act('read', allowedTo('read', names), 'read'),
        act('change or delete', nobody, 'alter', 'alter-configs', 'delete'),
      ]
    }),
    ...[...own.values()].map((names): Act => {
      const operation = names.resource === 'group' ? 'read' : 'write'
      const operations: Operation[] = names.resource === 'group' ? ['read', 'delete'] : ['write', 'two-phase-commit']
      const text = `be ${namesText({ ...names, name: names.name.slice(prefix.length) })}`
      return { text, names, operations, allowed: allowedTo(operation, names) }
    }),
    {
      text: 'give rights, set brokers or act as one of them',
      names: cluster,
      operations: ['alter', 'alter-configs', 'cluster-action'],
      allowed: nobody,
    },
    ...principals.map((principal): Act => {
      const names: Names = { resource: 'user', name: kafkaPrincipal(principal), pattern: 'literal' }
      return { text: `make tokens of ${principal}`, names, operations: ['create-tokens'], allowed: nobody }
    }),
  ]
}

/** Rights by which somebody could do it, as far as nothing denies that altogether. */
function holders({ names, operations }: Act, acls: readonly Acl[]): Acl[] {
  const touching = acls.filter((acl) => overlap(acl, names))
  const denials = touching.filter(({ permission }) => permission === 'deny')
  return touching
    .filter(({ permission }) => permission === 'allow')
    .filter((allow) =>
      operations
        .filter((operation) => allow.operation === 'all' || allow.operation === operation)
        .some((operation) => !denials.some((deny) => isDenied(deny, allow, names, operation))),
    )
}

function isDenied(deny: Acl, allow: Acl, names: Names, operation: Operation): boolean {
  const ofThem = deny.principal === EVERYBODY || deny.principal === allow.principal
  const fromThere = deny.host === ANY || deny.host === allow.host
  const ofThis = deny.operation === 'all' || deny.operation === operation
  return ofThem && fromThere && ofThis && (covers(deny, names) || covers(deny, allow))
}
