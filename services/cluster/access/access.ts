import { setTimeout as wait } from 'node:timers/promises'
import kafkajs, { type Admin } from 'kafkajs'
import { SluiceError } from '../../domain/errors.ts'
import { createKafka, withAdmin } from '../../platform/kafka/client.ts'
import { isRefusal } from '../../platform/kafka/kafka-failure.ts'
import type { Settings } from '../../platform/settings.ts'
import type { AccessFile } from './access-file.ts'
import { type AuditedAct, auditAcls, type BrokerRights } from './audit-acls.ts'
import { createAcls, deleteAcls, readAcls } from './cluster-acls.ts'
import { type AccessPlan, compareAcls } from './compare-acls.ts'

const PATIENCE_MS = 20_000
const POLL_MS = 20

/**
 * What {@link applyAccess} would do; changes nothing.
 * @throws {SluiceError} BROKER_UNREACHABLE, ACCESS_DENIED
 */
export function planAccess(settings: Settings, file: AccessFile): Promise<AccessPlan> {
  return withAdmin(createKafka(settings, 'sluice-access'), (admin) => plan(admin, settings, file))
}

/**
 * Gives and takes rights until the cluster has what the file says, as far as it is ours. Gives first: whoever is at work is not interrupted.
 * @returns what was done
 * @throws {SluiceError} BROKER_UNREACHABLE, ACCESS_DENIED
 */
export function applyAccess(settings: Settings, file: AccessFile): Promise<AccessPlan> {
  return withAdmin(createKafka(settings, 'sluice-access'), async (admin) => {
    const todo = await plan(admin, settings, file)
    await createAcls(admin, todo.add)
    await deleteAcls(admin, todo.remove)
    // Brokers hear of it a moment after the controller has taken it.
    const deadline = performance.now() + PATIENCE_MS
    for (let left = todo; left.add.length + left.remove.length > 0; left = await plan(admin, settings, file)) {
      if (performance.now() > deadline) {
        const sentence =
          'the brokers did not take the new rights in time: call `sluice access plan` to see what is lacking'
        throw new SluiceError('BROKER_UNREACHABLE', sentence)
      }
      if (left !== todo) await wait(POLL_MS)
    }
    return todo
  })
}

async function plan(admin: Admin, { prefix }: Settings, file: AccessFile): Promise<AccessPlan> {
  return compareAcls(file, prefix, (await readAcls(admin)) ?? [])
}

/** Who could do what. */
export type Audit = {
  acts: AuditedAct[]
  /** what could not be seen, one sentence each */
  unseen: string[]
}

/**
 * Looks at every right on the cluster, whoever gave it, and at what its brokers' settings say.
 * @throws {SluiceError} BROKER_UNREACHABLE, ACCESS_DENIED
 */
export function auditAccess(settings: Settings, file: AccessFile): Promise<Audit> {
  return withAdmin(createKafka(settings, 'sluice-access'), async (admin) => {
    const acls = await readAcls(admin)
    const said = await askBrokers(admin)
    const rights = acls === null ? { ...said, authorizer: false } : said
    const unseen: string[] = []
    if (rights.superUsers === null)
      unseen.push('the brokers do not tell who their super users are (super.users): look there')
    if (rights.everyoneElse === null)
      unseen.push(
        'the brokers do not tell whether everybody may do what no right speaks of (allow.everyone.if.no.acl.found): look there',
      )
    return { acts: auditAcls(file, settings.prefix, acls ?? [], rights), unseen }
  })
}

/** As far as each broker tells: what one of them lets pass counts. */
async function askBrokers(admin: Admin): Promise<BrokerRights> {
  const { brokers } = await admin.describeCluster()
  const all = await Promise.all(brokers.map(({ nodeId }) => askBroker(admin, String(nodeId)).catch(silentWhereRefused)))
  return {
    authorizer: all.some(({ authorizer }) => authorizer === false) ? false : (all[0]?.authorizer ?? null),
    everyoneElse: all.some(({ everyoneElse }) => everyoneElse === true) ? true : (all[0]?.everyoneElse ?? null),
    superUsers: all.some(({ superUsers }) => superUsers === null)
      ? null
      : [...new Set(all.flatMap(({ superUsers }) => superUsers ?? []))],
  }
}

/** Settings are another right than rights are. */
function silentWhereRefused(error: unknown): BrokerRights {
  if (isRefusal(error, 'CLUSTER_AUTHORIZATION_FAILED'))
    return { authorizer: null, everyoneElse: null, superUsers: null }
  throw error
}

async function askBroker(admin: Admin, name: string): Promise<BrokerRights> {
  const resource = { type: kafkajs.ConfigResourceTypes.BROKER, name }
  const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: false })
  const entries = resources[0]?.configEntries ?? []
  const settings = new Map<string, string | null>(
    entries.map(({ configName, configValue }) => [configName, configValue]),
  )
  const authorizer = settings.get('authorizer.class.name')
  const everyoneElse = settings.get('allow.everyone.if.no.acl.found')
  const superUsers = settings.get('super.users')
  return {
    authorizer: authorizer === undefined ? null : authorizer !== '',
    // One that is set is shown without its value where the brokers take it for a secret, as Kafka itself does; one that is not set is not shown.
    everyoneElse: everyoneElse === undefined ? false : everyoneElse === null ? null : everyoneElse === 'true',
    superUsers: superUsers === undefined ? [] : (superUsers?.split(';').filter((each) => each !== '') ?? null),
  }
}
