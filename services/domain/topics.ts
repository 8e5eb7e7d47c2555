/** Every topic, with the file in `schemas/` that its values follow. Names are without the cluster's prefix. */
export const topicSchemas = {
  'crawl.items': 'crawl-item',
  'gate.clean': 'clean-item',
  'gate.quarantine': 'held-item',
  'gate.review': 'held-item',
  'gate.verdicts': 'verdict',
  'gate.envelopes': 'envelope',
  'gate.hash-entries': 'hash-list-record',
  'gate.decisions': 'decision',
  'gate.recalls': 'recall',
  'replay.runs': 'replay-run',
  'replay.audit': 'replay-audit',
} as const
export type Topic = keyof typeof topicSchemas
export const topics = Object.keys(topicSchemas) as Topic[]

/** The one way in. */
export const DOOR = 'crawl.items' satisfies Topic

/** The consumer group of all gates, by which the door is read. */
export const GATE_GROUP = 'gate'

/** A topic's name on the cluster. Topics, groups and transactional ids all take the one prefix. */
export function prefixed(prefix: string, name: string): string {
  return prefix + name
}

/** The registry subject of a topic's values (TopicNameStrategy). */
export function subjectOf(prefix: string, topic: Topic): string {
  return `${prefixed(prefix, topic)}-value`
}

/** Where held items are: what they say of matches is what their verdicts say, and there are far fewer of them than verdicts. */
export const heldTopics = ['gate.quarantine', 'gate.review'] as const satisfies readonly Topic[]
