import { kafkaPrincipal, principals } from '../../domain/principals.ts'
import { topics } from '../../domain/topics.ts'
import type { AccessFile } from './access-file.ts'
import { type Acl, keyOf, type Names, overlap } from './acl.ts'
import { rightsOf, topicNamed, wantedAcls } from './wanted-acls.ts'

/** What is between the cluster and the file. */
export type AccessPlan = { add: Acl[]; remove: Acl[]; kept: number }

/**
 * Holds what a cluster has against the file. Of what the file does not want only that is removed which is of our principals and lies within this
 * prefix: other people's rights, those of other prefixes on the same cluster, and those that reach beyond are left to `audit`.
 */
export function compareAcls(file: AccessFile, prefix: string, found: readonly Acl[]): AccessPlan {
  const wanted = wantedAcls(file, prefix)
  const [wantedKeys, foundKeys] = [wanted, found].map((acls) => new Set(acls.map(keyOf)))
  const ours = oursWithin(file, prefix)
  return {
    add: wanted.filter((acl) => !foundKeys?.has(keyOf(acl))),
    remove: found.filter((acl) => ours(acl) && !wantedKeys?.has(keyOf(acl))),
    kept: wanted.filter((acl) => foundKeys?.has(keyOf(acl))).length,
  }
}

function oursWithin(file: AccessFile, prefix: string): (acl: Acl) => boolean {
  const people = new Set(principals.map(kafkaPrincipal))
  const spokenOf: Names[] = [...rightsOf(file, prefix), ...topics.map((topic) => topicNamed(prefix, topic))]
  return (acl) =>
    people.has(acl.principal) &&
    acl.name !== '*' &&
    acl.name.startsWith(prefix) &&
    spokenOf.some((names) => overlap(names, acl))
}
