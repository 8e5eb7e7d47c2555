/** What a right is about, by the number that Kafka has for it. */
export const resources = {
  2: 'topic',
  3: 'group',
  4: 'cluster',
  5: 'transactional-id',
  6: 'delegation-token',
  7: 'user',
} as const
export type Resource = (typeof resources)[keyof typeof resources]

/** What it allows or denies, by Kafka's number; `all` is each of the others. */
export const operations = {
  2: 'all',
  3: 'read',
  4: 'write',
  5: 'create',
  6: 'delete',
  7: 'alter',
  8: 'describe',
  9: 'cluster-action',
  10: 'describe-configs',
  11: 'alter-configs',
  12: 'idempotent-write',
  13: 'create-tokens',
  14: 'describe-tokens',
  15: 'two-phase-commit',
} as const
export type Operation = (typeof operations)[keyof typeof operations]

/** `literal`: this name, or every name where it is `*`; `prefixed`: every name that begins so. */
export const patterns = { 3: 'literal', 4: 'prefixed' } as const
export const permissions = { 2: 'deny', 3: 'allow' } as const

/** One line of what the brokers know: somebody may, or must not, do something with something. */
export type Acl = {
  resource: Resource
  /** full, with prefix */
  name: string
  pattern: 'literal' | 'prefixed'
  /** `User:crawler`; `User:*` is everybody */
  principal: string
  /** an address, or `*` */
  host: string
  operation: Operation
  permission: 'allow' | 'deny'
}

/** Names of one kind: one, or all that begin so. */
export type Names = Pick<Acl, 'resource' | 'name' | 'pattern'>

/** Everybody, on a cluster. */
export const EVERYBODY = 'User:*'
export const ANY = '*'

/** Whether two are the same in every part. */
export function keyOf({ resource, name, pattern, principal, host, operation, permission }: Acl): string {
  return JSON.stringify([resource, name, pattern, principal, host, operation, permission])
}

/** Whether there can be a name that both speak of. */
export function overlap(one: Names, other: Names): boolean {
  return covers(one, other) || covers(other, one)
}

/** Whether every name that `inner` speaks of is one that `outer` speaks of. */
export function covers(outer: Names, inner: Names): boolean {
  if (outer.resource !== inner.resource) return false
  if (outer.pattern === 'prefixed') return inner.name.startsWith(outer.name)
  if (outer.name === ANY) return true
  return inner.pattern === 'literal' && inner.name === outer.name
}

/** For people: `crawler: allow write on topic gate.*, from 192.0.2.1`. */
export function aclText({ resource, name, pattern, host, operation, permission }: Acl): string {
  const from = host === ANY ? '' : `, from ${host} only`
  return `${permission} ${operation} on ${namesText({ resource, name, pattern })}${from}`
}

/** For people: `topic gate.*`, `every group`. */
export function namesText({ resource, name, pattern }: Names): string {
  if (resource === 'cluster') return 'the cluster'
  if (pattern === 'literal' && name === ANY) return `every ${resource}`
  return `${resource} ${name}${pattern === 'prefixed' ? '*' : ''}`
}
