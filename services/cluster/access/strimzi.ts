import { stringify } from 'yaml'
import { principals } from '../../domain/principals.ts'
import type { AccessFile } from './access-file.ts'
import { type Acl, ANY, type Operation, type Resource } from './acl.ts'
import { rightsOf } from './wanted-acls.ts'

/** Strimzi's names for what the access file can speak of. */
const resources: Partial<Record<Resource, string>> = {
  topic: 'topic',
  group: 'group',
  'transactional-id': 'transactionalId',
}
const operations: Partial<Record<Operation, string>> = {
  read: 'Read',
  write: 'Write',
  'describe-configs': 'DescribeConfigs',
}

const patterns: Readonly<Record<Acl['pattern'], string>> = { literal: 'literal', prefixed: 'prefix' }

/**
 * A KafkaUser for every principal but super users, which Strimzi names in its Kafka resource; YAML documents for `kubectl apply`.
 * @param cluster name of the Kafka resource
 */
export function strimziUsers(file: AccessFile, prefix: string, cluster: string): string {
  const rights = rightsOf(file, prefix)
  const users = principals
    .filter((principal) => !file.principals[principal].super)
    .map((principal) => ({
      apiVersion: 'kafka.strimzi.io/v1beta2',
      kind: 'KafkaUser',
      metadata: { name: principal, labels: { 'strimzi.io/cluster': cluster } },
      spec: {
        authentication: { type: 'scram-sha-512' },
        authorization: {
          type: 'simple',
          acls: rights
            .filter((right) => right.principal === principal)
            .map(({ resource, name, pattern, operation }) => ({
              resource: { type: resources[resource], name, patternType: patterns[pattern] },
              operations: [operations[operation]],
              host: ANY,
            })),
        },
      },
    }))
  return users.map((user) => `---\n${stringify(user)}`).join('')
}
