import type { Coordinates } from './records.ts'

/** Cluster, topic, partition and offset in one word: how a record is named where one word must do. */
export function coordinatesText({ cluster, topic, partition, offset }: Coordinates): string {
  return `${cluster}/${topic}/${partition}/${offset}`
}

/** Coordinates as a person names them: of which cluster may be left out. */
export type NamedCoordinates = Omit<Coordinates, 'cluster'> & { cluster: string | null }

const named = /^(?:([^/]+)\/)?([A-Za-z0-9._-]+)\/(\d{1,10})\/(\d{1,16})$/

/** Reads `topic/partition/offset` or `cluster/topic/partition/offset`; null for any other text. */
export function parseCoordinates(text: string): NamedCoordinates | null {
  const [whole, cluster = null, topic = '', partition = '', offset = ''] = named.exec(text) ?? []
  return whole === undefined ? null : { cluster, topic, partition: Number(partition), offset: Number(offset) }
}

/** Whether a record is the one that was named. */
export function isNamed(record: Coordinates, wanted: NamedCoordinates): boolean {
  const { cluster, topic, partition, offset } = wanted
  return (
    record.offset === offset &&
    record.partition === partition &&
    record.topic === topic &&
    (cluster === null || record.cluster === cluster)
  )
}
