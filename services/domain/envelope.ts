import type {
  AcquisitionGroup,
  Envelope,
  ItemGroup,
  LivenessGroup,
  OriginGroup,
  PayloadGroup,
  RightsGroup,
  SupplyGroup,
  SyntheticGroup,
  TrainingView,
} from './records.ts'

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
    amendments: [],
    extra: {},
  }
}

/** The envelope of an item, with what is given; what is not is null. */
export function envelope(known: Partial<Envelope> & Pick<Envelope, 'item'>): Envelope {
  return { ...emptyEnvelope(), ...known }
}

/** @param known id: `[A-Za-z0-9._-]{1,64}`, derived from the source's own coordinates, so that publishing twice gives the same id */
export function item(known: Partial<ItemGroup> & Pick<ItemGroup, 'id'>): ItemGroup {
  return { mediaTypeClaimed: null, collectedAt: null, ...known }
}

/**
 * What the envelope of a new message says of a payload that an earlier one brought. What the crawler claimed stands, a reference also being a claim:
 * what contradicted it the first time does so again.
 * @param sha256 of the payload, under which a store has it
 */
export function referring(claimed: PayloadGroup | null, sha256: string): PayloadGroup {
  const named = claimed?.reference ?? null
  return {
    size: claimed?.size ?? null,
    md5: claimed?.md5 ?? null,
    sha1: claimed?.sha1 ?? null,
    sha256: named !== null && named !== sha256 ? named : (claimed?.sha256 ?? sha256),
    reference: sha256,
  }
}

/** The group acquisition with what is given, and nothing else; the other groups alike. */
export function acquisition(known: Partial<AcquisitionGroup>): AcquisitionGroup {
  return {
    crawler: null,
    run: null,
    requestedUrl: null,
    finalUrl: null,
    redirects: [],
    status: null,
    responseHeaders: [],
    remoteAddress: null,
    fetchedAt: null,
    fetchedMd5: null,
    fetchedSha1: null,
    fetchedSha256: null,
    warcFile: null,
    warcOffset: null,
    warcRecordId: null,
    truncated: null,
    ...known,
  }
}

export function origin(known: Partial<OriginGroup>): OriginGroup {
  return {
    pageUrl: null,
    pageTitle: null,
    caption: null,
    uploaderId: null,
    uploaderHandle: null,
    uploaderProfileUrl: null,
    uploadedAtClaimed: null,
    platform: null,
    ...known,
  }
}

export function supply(known: Partial<SupplyGroup> & Pick<SupplyGroup, 'kind'>): SupplyGroup {
  return { supplier: null, contract: null, dataset: null, version: null, shard: null, row: null, ...known }
}

export function rights(known: Partial<RightsGroup>): RightsGroup {
  return { licence: null, robots: null, tdmOptOut: null, ...known }
}

export function synthetic(known: Partial<SyntheticGroup>): SyntheticGroup {
  return { generator: null, digitalSourceType: null, ...known }
}

export function liveness(known: Partial<LivenessGroup>): LivenessGroup {
  return { lastSeenAt: null, status: null, ...known }
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
