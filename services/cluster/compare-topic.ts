import type { WantedTopic } from './wanted-topics.ts'

/** One setting that is not as wanted. */
export type TopicChange = { setting: string; from: string; to: string }

/** A topic as it is, held against what it shall be. */
export type PlannedTopic = {
  /** With the prefix */
  name: string
  /** `impossible`: it differs in what can't be set right, or not without being asked for; or it can't be made as it shall be now */
  action: 'create' | 'change' | 'impossible' | 'none'
  /** as it shall have */
  partitions: number
  /** as it has, or will be made with */
  replicationFactor: number
  /** what is not as wanted of a topic that exists */
  changes: TopicChange[]
  /** what stands in the way and what to do; null where nothing does */
  problem: string | null
}

/** A topic as the cluster has it. */
export type FoundTopic = {
  partitions: number
  /** of the partition that has the fewest, whether their brokers answer or not */
  copies: number
  /** settings of the topic's own, ours or not */
  overrides: Readonly<Record<string, string>>
}

export type Circumstances = {
  /** brokers that answer now */
  answering: number
  /** ids of those that have copies of our topics and do not answer */
  away: readonly number[]
  /** whether partitions may be added to the door topic and all that follow it */
  mayGrow: boolean
}

export const PARTITIONS = 'partitions'

/** Holds one topic against what it shall be. @param found null: it does not exist */
export function compareTopic(wanted: WantedTopic, found: FoundTopic | null, now: Circumstances): PlannedTopic {
  const { name, partitions, replicationFactor } = wanted
  if (found === null) {
    const problem = problemOfMissing(wanted, now)
    return {
      name,
      action: problem === null ? 'create' : 'impossible',
      partitions,
      replicationFactor,
      changes: [],
      problem,
    }
  }
  const changes = changesOf(wanted, found)
  const problem = problemOfPartitions(wanted, found, now.mayGrow) ?? problemOfCopies(wanted, found)
  const action = problem !== null ? 'impossible' : changes.length > 0 ? 'change' : 'none'
  return { name, action, partitions, replicationFactor: found.copies, changes, problem }
}

function changesOf(wanted: WantedTopic, { partitions, copies, overrides }: FoundTopic): TopicChange[] {
  // More copies than a topic has can't be asked for: every write to it would be refused. How many it has is what counts, not who answers now.
  const minInsync = Math.min(wanted.minInsyncReplicas, copies)
  const changes = Object.entries({ ...wanted.config, 'min.insync.replicas': String(minInsync) })
    .filter(([setting, value]) => overrides[setting] !== value)
    .map(([setting, to]) => ({ setting, from: overrides[setting] ?? "the broker's default", to }))
  if (partitions === wanted.partitions) return changes
  return [{ setting: PARTITIONS, from: String(partitions), to: String(wanted.partitions) }, ...changes]
}

/** Copies are not added later by themselves: a topic made now would keep too few for ever. */
function problemOfMissing({ name, replicationFactor }: WantedTopic, { answering, away }: Circumstances): string | null {
  if (answering >= replicationFactor) return null
  return `${name} does not exist and would get ${answering} instead of the ${replicationFactor} copies that other topics have: start the brokers that do not answer first (${away.join(', ')})`
}

/** Why a topic with another number of partitions stays as it is; null where the wanted ones can be added. */
function problemOfPartitions(
  { name, followsDoor, partitions }: WantedTopic,
  { partitions: has }: FoundTopic,
  mayGrow: boolean,
): string | null {
  if (has === partitions || (followsDoor && mayGrow && has < partitions)) return null
  const cure = followsDoor
    ? `the door topic and all that follow it have the same number; call with --partitions ${has}, or with a larger number to add some`
    : 'partitions can not be taken away, and adding some would move keys: correct infra/topics.yaml'
  return `${name} has ${has} partitions instead of ${partitions}: ${cure}`
}

function problemOfCopies({ name, replicationFactor }: WantedTopic, { copies }: FoundTopic): string | null {
  if (copies >= replicationFactor) return null
  return `${name} has partitions of ${copies} instead of ${replicationFactor} copies: add some with Kafka's kafka-reassign-partitions, then call again; or correct replicationFactor in infra/topics.yaml`
}
