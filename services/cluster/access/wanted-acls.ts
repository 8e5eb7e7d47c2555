import { kafkaPrincipal, type Principal, principals } from '../../domain/principals.ts'
import { prefixed } from '../../domain/topics.ts'
import type { AccessFile } from './access-file.ts'
import { type Acl, ANY, type Names, type Operation } from './acl.ts'

/** Something that a principal may do, by the names it is about. Whoever may read or write may also ask whether it is there. */
export type Right = Names & { principal: Principal; operation: Operation }

/** Every right that the file speaks of, super users' apart. @param prefix of topics, groups and transactional ids */
export function rightsOf(file: AccessFile, prefix: string): Right[] {
  return principals.flatMap((principal) => {
    const { read, write, settings, groups, transactions } = file.principals[principal]
    const on = (operation: Operation, names: Names): Right => ({ principal, operation, ...names })
    return [
      ...read.map((topic) => on('read', topicNamed(prefix, topic))),
      ...write.map((topic) => on('write', topicNamed(prefix, topic))),
      ...settings.map((topic) => on('describe-configs', topicNamed(prefix, topic))),
      // As `followTopic` names the groups that it reads by.
      ...read.map((topic) => on('read', namesOf('group', prefix, `${topic}-follow-*`))),
      ...groups.map((name) => on('read', namesOf('group', prefix, name))),
      ...transactions.map((name) => on('write', namesOf('transactional-id', prefix, name))),
    ]
  })
}

/** The same, as the brokers know it. */
export function wantedAcls(file: AccessFile, prefix: string): Acl[] {
  return rightsOf(file, prefix).map(({ principal, resource, name, pattern, operation }) => {
    return { resource, name, pattern, principal: kafkaPrincipal(principal), host: ANY, operation, permission: 'allow' }
  })
}

export function topicNamed(prefix: string, topic: string): Names {
  return { resource: 'topic', name: prefixed(prefix, topic), pattern: 'literal' }
}

/** @param name one that may end in `*` */
function namesOf(resource: Names['resource'], prefix: string, name: string): Names {
  return name.endsWith('*')
    ? { resource, name: prefixed(prefix, name.slice(0, -1)), pattern: 'prefixed' }
    : { resource, name: prefixed(prefix, name), pattern: 'literal' }
}
