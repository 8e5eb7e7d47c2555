import kafkajs, { type AclEntry, type AclFilter, type Admin } from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'
import { isRefusal } from '../../platform/kafka/kafka-failure.ts'
import { type Acl, operations, patterns, permissions, resources } from './acl.ts'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

/**
 * Every right that the cluster knows of; null where it knows none, because everybody may do everything.
 * @throws {SluiceError} ACCESS_DENIED
 */
export async function readAcls(admin: Admin): Promise<Acl[] | null> {
  const everything = {
    resourceType: AclResourceTypes.ANY,
    resourcePatternType: ResourcePatternTypes.ANY,
    operation: AclOperationTypes.ANY,
    permissionType: AclPermissionTypes.ANY,
  }
  try {
    const { resources: found } = await admin.describeAcls(everything)
    return found.flatMap(({ acls, ...resource }) => acls.map((acl) => fromKafka({ ...resource, ...acl })))
  } catch (cause) {
    if (isRefusal(cause, 'SECURITY_DISABLED')) return null
    throw toldDenied(cause, 'look at rights: it needs Describe on the cluster')
  }
}

/** @throws {SluiceError} ACCESS_DENIED */
export async function createAcls(admin: Admin, acls: readonly Acl[]): Promise<void> {
  if (acls.length === 0) return
  try {
    await admin.createAcls({ acl: acls.map(toKafka) })
  } catch (cause) {
    throw toldDenied(cause, 'give rights: it needs Alter on the cluster')
  }
}

/** @throws {SluiceError} ACCESS_DENIED */
export async function deleteAcls(admin: Admin, acls: readonly Acl[]): Promise<void> {
  if (acls.length === 0) return
  try {
    await admin.deleteAcls({ filters: acls.map(toKafka) satisfies AclFilter[] })
  } catch (cause) {
    throw toldDenied(cause, 'take rights away: it needs Alter on the cluster')
  }
}

function toldDenied(cause: unknown, what: string): unknown {
  if (isRefusal(cause, 'SECURITY_DISABLED')) {
    const sentence = 'this cluster asks nobody for rights: set authorizer.class.name on its brokers first'
    return new SluiceError('ACCESS_DENIED', sentence, { cause })
  }
  if (!isRefusal(cause, 'CLUSTER_AUTHORIZATION_FAILED')) return cause
  return new SluiceError('ACCESS_DENIED', `the brokers do not let this principal ${what}`, { cause })
}

function fromKafka(entry: AclEntry): Acl {
  return {
    resource: nameOf(resources, entry.resourceType, 'resource'),
    name: entry.resourceName,
    pattern: nameOf(patterns, entry.resourcePatternType, 'pattern'),
    principal: entry.principal,
    host: entry.host,
    operation: nameOf(operations, entry.operation, 'operation'),
    permission: nameOf(permissions, entry.permissionType, 'permission'),
  }
}

function toKafka(acl: Acl): AclEntry {
  return {
    resourceType: numberOf(resources, acl.resource),
    resourceName: acl.name,
    resourcePatternType: numberOf(patterns, acl.pattern),
    principal: acl.principal,
    host: acl.host,
    operation: numberOf(operations, acl.operation),
    permissionType: numberOf(permissions, acl.permission),
  }
}

/** A right that this version does not understand could be one that matters. */
function nameOf<Name extends string>(table: Readonly<Record<number, Name>>, number: number, what: string): Name {
  const name = table[number]
  if (name !== undefined) return name
  throw new SluiceError(
    'CONFIG_INVALID',
    `the cluster has a right with ${what} number ${number}, which is not known here`,
  )
}

function numberOf<Name extends string>(table: Readonly<Record<number, Name>>, name: Name): number {
  return Number(Object.entries(table).find(([, each]) => each === name)?.[0])
}
