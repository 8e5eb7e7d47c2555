import { parseCoordinates } from '../domain/coordinates.ts'
import type { Coordinates, Envelope, EnvelopeRecord } from '../domain/records.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { createRegistry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'

/** As many amended messages are left out; what is amended beyond counts as well as what amends it. */
const MOST_AMENDED = 5_000_000

/**
 * Every envelope that the gate has judged, as it stands now: a message that a later one amends is left out. So gate.envelopes is read twice: first
 * for what amends what, of which about 100 bytes each are kept, then for the envelopes, of which nothing is.
 * @param onRecord told of every record read, for progress
 * @throws {SluiceError} ACCESS_DENIED, BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE
 */
export async function readEnvelopes(
  settings: Settings,
  { onEnvelope, onRecord }: { onEnvelope: (envelope: Envelope) => Promise<void> | void; onRecord: () => void },
): Promise<void> {
  const registry = createRegistry(settings)
  const door = prefixed(settings.prefix, DOOR)
  const amended = new Set<string>()
  const read = { registry, prefix: settings.prefix, topic: 'gate.envelopes' as const }
  await readTopic<EnvelopeRecord>({
    ...read,
    kafka: createKafka(settings, 'sluice-provenance'),
    isWanted({ value }) {
      onRecord()
      // As in the coordinates of what is amended.
      return value?.includes(`/${door}/`) === true
    },
    onValue({ envelope }) {
      for (const { original } of envelope.amendments) {
        const place = parseCoordinates(original)
        if (place?.topic === door && amended.size < MOST_AMENDED) amended.add(placeOf(place, envelope))
      }
    },
  })
  await readTopic<EnvelopeRecord>({
    ...read,
    kafka: createKafka(settings, 'sluice-provenance'),
    isWanted() {
      onRecord()
      return true
    },
    onValue({ input, envelope }) {
      if (!amended.has(placeOf(input, envelope))) return onEnvelope(envelope)
    },
  })
}

/** With the id: a crawler's message can claim to amend nothing but what has its own. */
function placeOf({ partition, offset }: Pick<Coordinates, 'partition' | 'offset'>, { item }: Envelope): string {
  return `${partition}/${offset}/${item?.id ?? ''}`
}
