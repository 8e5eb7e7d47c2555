import type { Envelope, TrainingView } from './records.ts'

const itemId = /^[A-Za-z0-9._-]{1,64}$/

/** Whether a text is a well-formed item id; only such ids ever stand in logs. */
export function isItemId(text: string): boolean {
  return itemId.test(text)
}

/** The envelope of a message that tells nothing: all groups null. */
export function emptyEnvelope(): Envelope {
  return {
    item: null,
    payload: null,
    acquisition: null,
    origin: null,
    supply: null,
    rights: null,
    synthetic: null,
    liveness: null,
    extra: {},
  }
}

/** What training may see of an envelope: no URL, uploader, address or title. */
export function trainingView(envelope: Envelope): TrainingView {
  const { item, origin, supply, rights, synthetic } = envelope
  return {
    collectedAt: item?.collectedAt ?? null,
    caption: origin?.caption ?? null,
    supplyKind: supply?.kind ?? null,
    supplier: supply?.supplier ?? null,
    dataset: supply?.dataset ?? null,
    datasetVersion: supply?.version ?? null,
    licence: rights?.licence ?? null,
    robots: rights?.robots ?? null,
    tdmOptOut: rights?.tdmOptOut ?? null,
    generator: synthetic?.generator ?? null,
    digitalSourceType: synthetic?.digitalSourceType ?? null,
  }
}
