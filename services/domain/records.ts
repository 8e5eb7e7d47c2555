// Generated from schemas/*.avsc by `make types`; do not edit.

/** What identifies a record in Kafka. The item id is only the crawler's label. */
export type Coordinates = {
  /** Kafka cluster id, as the brokers report it. */
  cluster: string
  /** Topic name, with its prefix. */
  topic: string
  /** Partition number, from 0. */
  partition: number
  /** Offset in the partition. */
  offset: number
}

/** The bytes that were checked. */
export type CleanPayload = {
  /** Lower-case hex sha256 of the payload and its name in the clean store, computed by the gate. */
  reference: string
  /** Length in bytes. */
  size: number
  /** IANA media type as sniffed by the gate. */
  mediaType: string
}

/** The part of the envelope that training may see. */
export type TrainingView = {
  /** When the crawler obtained the item; milliseconds since the epoch, UTC. */
  collectedAt: null | number
  /** Alt text or caption that stood with the item. */
  caption: null | string
  /** web-crawl, licensed, purchased, partner or synthetic. */
  supplyKind: null | string
  /** Who supplied the item. */
  supplier: null | string
  /** Name of the dataset it came in. */
  dataset: null | string
  /** Version of that dataset. */
  datasetVersion: null | string
  /** SPDX id or URL of the licence. */
  licence: null | string
  /** Robots signals that apply, as seen. */
  robots: null | string
  /** Text-and-data-mining reservation or training opt-out, as seen. */
  tdmOptOut: null | string
  /** Name and version of the generator, for synthetic items. */
  generator: null | string
  /** IPTC digital source type. */
  digitalSourceType: null | string
}

/** Topic gate.clean, key: item id. A cleared item as training may see it: no URL, uploader or address. Written by the gate, read by trainers. */
export type CleanItem = {
  /** Coordinates of the item on the door topic. */
  input: Coordinates
  /** Item id. */
  id: string
  /** Reference into the clean store. */
  payload: CleanPayload
  /** Training view of the envelope. */
  training: TrainingView
  /** The gate's signature over the verdict: a DSSE envelope as JSON text; null where the gate has no signing key. */
  receipt: null | string
}

/** The crawler's label for the item. */
export type ItemGroup = {
  /** Item id, [A-Za-z0-9._-]{1,64}. Equals the record key. Derived from the source's own coordinates, so that importing twice gives the same id: importers hash the path and bytes of a file in a folder; the WARC record id (without one, WARC name and place); shard, key, URL and fetched digest of img2dataset; supplier, contract, dataset, version, manifest name, file and bytes of a delivery. A crawler of its own takes URL and fetch time, or what else tells its items apart. */
  id: string
  /** IANA media type as the source claimed it, e.g. image/jpeg. Never believed by the gate. Filled by the crawler. */
  mediaTypeClaimed: null | string
  /** When the crawler obtained the item; milliseconds since the epoch, UTC. */
  collectedAt: null | number
}

/** Where the bytes are and what the crawler claims about these very bytes. Exactly one of the record's `inline` field and `reference` is set. */
export type PayloadGroup = {
  /** Lower-case hex sha256 under which the bytes lie in the intake store; null when they are inline. */
  reference: null | string
  /** Length of the payload in bytes, as claimed by the crawler; the gate checks it. */
  size: null | number
  /** Claimed md5 of the payload, 32 lower-case hex digits; the gate checks it. */
  md5: null | string
  /** Claimed sha1 of the payload, 40 lower-case hex digits; the gate checks it. */
  sha1: null | string
  /** Claimed sha256 of the payload, 64 lower-case hex digits; the gate checks it. */
  sha256: null | string
}

/** One HTTP response header, as received. */
export type HttpHeader = {
  /** Header name, lower case. */
  name: string
  /** Header value. */
  value: string
}

/** How the item was fetched. */
export type AcquisitionGroup = {
  /** Name and version of the tool that fetched the item. */
  crawler: null | string
  /** Id of the crawl run. */
  run: null | string
  /** URL as first requested. */
  requestedUrl: null | string
  /** URL that finally answered, after redirects. */
  finalUrl: null | string
  /** URLs passed on the way from the requested to the final one, in order. */
  redirects: Array<string>
  /** HTTP status code of the final answer. */
  status: null | number
  /** Selected HTTP response headers of the final answer, in order. */
  responseHeaders: Array<HttpHeader>
  /** IP address that served the bytes. */
  remoteAddress: null | string
  /** When the final answer was received; milliseconds since the epoch, UTC. */
  fetchedAt: null | number
  /** md5 of the bytes as fetched, where a tool changed them afterwards; 32 lower-case hex digits. Matched with the hash lists, never checked against the payload. */
  fetchedMd5: null | string
  /** sha1 of the bytes as fetched, where a tool changed them afterwards; 40 lower-case hex digits. Matched with the hash lists, never checked against the payload. */
  fetchedSha1: null | string
  /** sha256 of the bytes as fetched, where a tool changed them afterwards; 64 lower-case hex digits. Matched with the hash lists, never checked against the payload. */
  fetchedSha256: null | string
  /** Name of the WARC file that holds the capture. */
  warcFile: null | string
  /** Byte offset of the record in that WARC file. */
  warcOffset: null | number
  /** WARC-Record-ID of the capture, as it stands there. */
  warcRecordId: null | string
  /** Why the capture holds only the beginning of what was served (WARC-Truncated: length, time, disconnect, unspecified); null where it was not cut. */
  truncated: null | string
}

/** Where the item was found and who put it there. */
export type OriginGroup = {
  /** URL of the page that showed the item. */
  pageUrl: null | string
  /** Title of that page. */
  pageTitle: null | string
  /** Alt text or caption that stood with the item. */
  caption: null | string
  /** The platform's id of the account that uploaded the item. */
  uploaderId: null | string
  /** Handle of that account. */
  uploaderHandle: null | string
  /** URL of that account's profile. */
  uploaderProfileUrl: null | string
  /** When the item was uploaded, as the platform claims; milliseconds since the epoch, UTC. */
  uploadedAtClaimed: null | number
  /** Name of the platform. */
  platform: null | string
}

/** Through whose hands the item came. */
export type SupplyGroup = {
  /** web-crawl, licensed, purchased, partner or synthetic; a string, so that kinds may be added. An unknown kind never counts as complete. */
  kind: string
  /** Who supplied the item. */
  supplier: null | string
  /** Contract under which it was supplied. */
  contract: null | string
  /** Name of the dataset it came in. */
  dataset: null | string
  /** Version of that dataset. */
  version: null | string
  /** Shard or file of that dataset. */
  shard: null | string
  /** Row in that shard, from 0. */
  row: null | number
}

/** Licence and opt-out signals that were seen. */
export type RightsGroup = {
  /** SPDX id or URL of the licence. */
  licence: null | string
  /** Robots signals that apply (X-Robots-Tag, robots meta), as seen. */
  robots: null | string
  /** Text-and-data-mining reservation or training opt-out, as seen. */
  tdmOptOut: null | string
}

/** What is known of generated content. */
export type SyntheticGroup = {
  /** Name and version of the generator. */
  generator: null | string
  /** IPTC digital source type, as a URI or short name. */
  digitalSourceType: null | string
}

/** Whether the item could still be reached. */
export type LivenessGroup = {
  /** When it was last seen; milliseconds since the epoch, UTC. */
  lastSeenAt: null | number
  /** What that look found: online, gone, blocked or unknown; a string, so that states may be added. */
  status: null | string
}

/** Facts that were added to an envelope after the item had been collected. */
export type Amendment = {
  /** The fields that were filled in, as dotted paths, e.g. acquisition.requestedUrl. */
  fields: Array<string>
  /** Where the facts came from, e.g. the supplier's answer of a day. */
  source: string
  /** Who added them. */
  addedBy: string
  /** When they were added; milliseconds since the epoch, UTC. */
  addedAt: number
  /** Coordinates of the door record that was amended: cluster/topic/partition/offset. */
  original: string
}

/** What is known about an item without its content. Every group may be null: suppliers differ, and what is missing is counted. */
export type Envelope = {
  /** Identity. Filled by the crawler. */
  item: null | ItemGroup
  /** The payload, described. Filled by the crawler. */
  payload: null | PayloadGroup
  /** Acquisition. Filled by the crawler or importer. */
  acquisition: null | AcquisitionGroup
  /** Origin. Filled by the crawler or importer. */
  origin: null | OriginGroup
  /** Supply. Filled by the importer. */
  supply: null | SupplyGroup
  /** Rights. Filled by the crawler or importer. */
  rights: null | RightsGroup
  /** Synthetic origin. Filled by the importer. */
  synthetic: null | SyntheticGroup
  /** Liveness. Filled by the crawler. */
  liveness: null | LivenessGroup
  /** What was added since the item was collected, oldest first. Filled by sluice crawl amend. */
  amendments: Array<Amendment>
  /** Fields that the gate's schema does not know, by dotted path, each value as JSON text. Also free fields of importers. */
  extra: Record<string, string>
}

/** Topic crawl.items, key: item id. One collected item: an envelope and a payload. Written by crawlers and the replay worker, read by the gate. */
export type CrawlItem = {
  /** What is known about the item. */
  envelope: Envelope
  /** The payload itself when it is small; null when envelope.payload.reference names it in the intake store. */
  inline: null | Buffer
}

/** Topic gate.decisions, key: sha256. A person's signed word on one payload, an input of the judge. Written by review. */
export type DecisionRecord = {
  /** sha256 of the payload, lower-case hex. */
  sha256: string
  /** release or confirm; a string, so that decisions may be added. Unknown never clears. */
  decision: string
  /** Who decided. */
  decidedBy: string
  /** When; milliseconds since the epoch, UTC. */
  decidedAt: number
  /** Why, in a sentence. */
  reason: string
  /** DSSE envelope over the other fields, as JSON text. */
  signature: string
}

/** Topic gate.envelopes, key: item id. The envelope of every judged item, cleared ones too, without payload. Written by the gate. */
export type EnvelopeRecord = {
  /** Coordinates of the item on the door topic; joins the records of one item. */
  input: Coordinates
  /** The envelope as it came; null groups where the record could not be decoded. */
  envelope: Envelope
}

/** One known hash of the entry. */
export type KnownHash = {
  /** Kind of hash: md5, sha1, sha256, pdq; others are kept and counted, not matched. */
  signal: string
  /** The hash. */
  value: Buffer
}

/** What one member of the exchange says of an entry. */
export type Opinion = {
  /** The member, as the exchange names it. */
  member: string
  /** positive, negative or seed (a lead for investigators); a string, so that words may be added. One that is not known counts as positive. */
  opinion: string
}

/** One line of a hash list. */
export type HashListEntry = {
  /** Name of the list. */
  list: string
  /** Id of the entry in the list. */
  id: string
  /** Known hashes, by signal name. */
  signals: Array<KnownHash>
  /** The list's own classification. */
  classification: null | string
  /** Opinions of the members; empty where the list has none: then the entry counts as positive. */
  opinions: Array<Opinion>
  /** Whether the source has taken the entry back; what follows is for policy to say. */
  withdrawn: boolean
}

/** How many hashes of a signal there are. */
export type SignalCount = {
  /** Name of the signal. */
  signal: string
  /** Number of hashes. */
  hashes: number
}

/** How a version came about. */
export type VersionCause = {
  /** import, sync, rollback, shadow or enforce; a string, so that acts may be added. */
  act: string
  /** Who asked for it, by the name that they gave; null where nobody was asked for one. */
  who: null | string
  /** Why, in their words. */
  why: null | string
  /** What it was done to: of a rollback the version whose entries came back, of shadow and enforce the entry. */
  of: null | string
  /** What was made although policy refuses it unless somebody says so: flood, shrink. */
  accepted: Array<string>
}

/** The record that closes a version of a list. */
export type HashListManifest = {
  /** Name of the list. */
  list: string
  /** Version; a later version of a list sorts after an earlier one. */
  version: string
  /** Number of entries in this version. */
  entries: number
  /** sha256 over the entries sorted by id (domain/hash-list), lower-case hex. */
  digest: string
  /** When this version was last known to be the source's current one; milliseconds since the epoch, UTC. */
  checkedAt: number
  /** Ids of entries that are in shadow, whatever the source says, until somebody takes that back; * stands for all of them. */
  shadowed: Array<string>
  /** How many hashes of each signal this version has; empty for versions that were made before this was counted. */
  signals: Array<SignalCount>
  /** How this version came about; null for versions that were made before this was kept. */
  cause: null | VersionCause
}

/** Topic gate.hash-entries, key: list/entry for entries, list/version for manifests. Exactly one of entry and manifest is set. Written by lists, read by gate and recall. */
export type HashListRecord = {
  /** An entry. */
  entry: null | HashListEntry
  /** A manifest. */
  manifest: null | HashListManifest
}

/** A signal of the item within its distance of a list's entry. */
export type Match = {
  /** Name of the hash list. */
  list: string
  /** Version of the list. */
  listVersion: string
  /** Id of the entry in the list. */
  entry: string
  /** Signal that matched: md5, sha1, sha256, pdq; more later. */
  signal: string
  /** Hamming distance in bits; 0 for exact digests. */
  distance: number
  /** Quality of the item's signal, 0..100; null where the signal has none. */
  quality: null | number
  /** Frame or page of the item, from 0; 0 for signals of the whole payload. */
  frame: number
  /** What was done to the picture before hashing, e.g. identity, rotate90, trimmed+mirror. */
  transform: string
  /** exact, near or wide. */
  class: string
  /** False when the policy runs this list, or entries of this standing, in shadow: recorded, without effect on the outcome. */
  enforced: boolean
  /** The list's own classification of the entry. */
  classification: null | string
  /** What the list's members make of the entry: positive, disputed, seed, negative or withdrawn (domain/standing). */
  standing: string
}

/** A provenance fact that policy asks for and the envelope lacks. */
export type MissingFact = {
  /** Name of the fact (domain/judge/provenance), e.g. placeFound. */
  fact: string
  /** Whether policy holds the item for it; false where it is only counted or the rule runs in shadow. */
  enforced: boolean
}

/** A hash list and the version of it that was in force. */
export type ListVersion = {
  /** Name of the hash list. */
  list: string
  /** Version, as its manifest names it. */
  version: string
}

/** Topics gate.quarantine and gate.review, key: item id. An item that was not cleared. Written by the gate, read by the replay worker and by review. */
export type HeldItem = {
  /** Coordinates of the item on the door topic. */
  input: Coordinates
  /** Item id; null where the record could not be decoded. */
  itemId: null | string
  /** clean, quarantine or review. */
  outcome: string
  /** All reason codes, in alphabetical order (closed set: domain/reasons); empty for a clean item with nothing to say. */
  reasons: Array<string>
  /** All matches, ascending by class and distance. */
  matches: Array<Match>
  /** Provenance facts that the envelope lacks, in alphabetical order. */
  missing: Array<MissingFact>
  /** sha256 of the policy in force, lower-case hex. */
  policyHash: string
  /** Every list in force, by name. */
  listVersions: Array<ListVersion>
  /** Version of the engine that inspected and judged. */
  engineVersion: string
  /** Lower-case hex sha256 of the original record in the held store (an Avro container, see held-original). */
  heldReference: string
  /** Lower-case hex sha256 of the payload in the held store; null where there was none that could be read or copied. */
  payloadReference: null | string
}

/** One name/value pair, kept as it came. */
export type Header = {
  /** Header name. */
  name: string
  /** Header value; null where the header had none. */
  value: null | Buffer
}

/** Held store, one Avro object container a record: a held message, to the byte. */
export type HeldOriginal = {
  /** Coordinates of the message on the door topic. */
  input: Coordinates
  /** Timestamp that the broker gave the message; milliseconds since the epoch, UTC. */
  timestamp: number
  /** Original key; null where there was none. */
  key: null | Buffer
  /** Original value; null where there was none. */
  value: null | Buffer
  /** Original headers. */
  headers: Array<Header>
}

/** Topic gate.recalls, key: sha256. A cleared payload that a later list version matches. Written by recall, read by trainers. */
export type RecallRecord = {
  /** sha256 of the payload, lower-case hex. */
  sha256: string
  /** recalled or withdrawn; a string, so that states may be added. Unknown counts as recalled. */
  state: string
  /** Coordinates of the item on the door topic, by which its envelope is found. */
  input: Coordinates
  /** What matched. */
  matches: Array<Match>
  /** When this state was written; milliseconds since the epoch, UTC. */
  recalledAt: number
  /** Who let more be recalled than policy allows at once; null where it was within policy's bounds. */
  acceptedBy: null | string
  /** Why, in a sentence of theirs. */
  acceptedReason: null | string
}

/** Topic replay.audit, key: run id. Who did what, when and why. Written by the replay worker. */
export type ReplayAuditRecord = {
  /** Run id. */
  run: string
  /** plan, run, go-on, stop, wait, stopped or done; a string, so that actions may be added. */
  action: string
  /** Principal that asked. */
  who: string
  /** Why, in a sentence. */
  why: string
  /** When; milliseconds since the epoch, UTC. */
  at: number
  /** sha256 of the plan file, lower-case hex. */
  plan: null | string
  /** Number of items: of a plan or run those chosen, of a stop or end those replayed. */
  items: null | number
}

/** An item that is replayed before the others. */
export type CanaryItem = {
  /** Offset on the door. */
  offset: number
  /** Outcome that the dry run foretold; null where it could not say. */
  expected: null | string
}

/** What on-call asks of a partition, as the plan says it. */
export type ReplayRequest = {
  /** Who made the plan. */
  plannedBy: string
  /** When the plan was made; milliseconds since the epoch, UTC. */
  plannedAt: number
  /** All partitions of the run, ascending; it begins when each has its request. */
  partitions: Array<number>
  /** Offsets on the door to be replayed (domain/replay/packed-numbers). */
  offsets: Buffer
  /** Of these offsets, those that the dry run is certain will be held again: that they are is no sign that something is wrong. */
  foreseen: Buffer
  /** Their verdicts stand on this partition of gate.verdicts from this offset on. */
  verdictsFrom: number
  /** Their verdicts stand before this offset. */
  verdictsTo: number
  /** Items of this partition that are replayed first; the others follow when they came out as foretold. */
  canary: Array<CanaryItem>
  /** Items that were replayed so often already are left out. */
  attempts: number
  /** Items a second, all partitions together, at most. */
  rate: number
  /** Goes on behind the canary whatever came out. */
  unasked: boolean
}

/** Topic replay.runs, partitioned like the door. Records of four kinds: key RUN, what on-call asks of this partition; key RUN/progress, how far the replay worker is, written in the transaction that writes the items; key RUN/order, on-call's last word, on the run's first partition; key .worker, on partition 0, which worker is in charge. A run's id is the beginning of its plan's. */
export type ReplayRunRecord = {
  /** Run id. */
  run: string
  /** sha256 of the plan file, lower-case hex. */
  plan: string
  /** Of a request: requested. Of progress: canary, waiting, running, stopped or done. Of an order: go-on or stop. Of a worker: claim. A string, so that states may be added. */
  state: string
  /** Door partition that this record reports on. */
  partition: number
  /** Always null: canary items come first, so no offset says how far a replay is; `taken` does. */
  nextOffset: null | number
  /** Items by what became of them: replayed, and not replayed because already-replayed, attempts-exhausted or original-missing. */
  counts: Record<string, number>
  /** When this record was written; milliseconds since the epoch, UTC. */
  updatedAt: number
  /** Of a request or an order: who asks. */
  who: null | string
  /** Of a request or an order: why. Of progress: what it waits for, or why it was stopped, in a sentence. */
  why: null | string
  /** Of a request: what is asked. */
  request: null | ReplayRequest
  /** Of progress and of a claim: which worker wrote it. */
  worker: null | string
  /** Of progress: so many of the request's items are done, whatever became of them: the canary first, then the others in the order of their offsets. */
  taken: number
  /** Of progress: when the last order was written that the worker has heeded. */
  heeded: null | number
  /** Of progress: where the replayed items stand on the door, as pairs of first offset and number, in the order of their originals (domain/replay/packed-numbers). */
  produced: null | Buffer
  /** Of progress: offsets of the request that were passed over and not replayed. */
  left: null | Buffer
}

/** One hash of the item. */
export type Signal = {
  /** Kind of hash: md5, sha1, sha256, pdq; more later. */
  signal: string
  /** Version of the algorithm as the engine implements it. */
  version: number
  /** The hash. PDQ: 32 bytes, big-endian as the reference prints it. */
  value: Buffer
  /** Quality 0..100 where the signal has one (PDQ). */
  quality: null | number
  /** Frame or page, from 0. */
  frame: number
  /** What was done to the picture before hashing; identity for none. */
  transform: string
}

/** What a message's replay headers say. Whoever writes the door can write them: they have no effect, and nothing is counted by them. */
export type ReplayClaim = {
  /** Run id. */
  run: string
  /** Coordinates of the held item on the door, as cluster/topic/partition/offset. */
  origin: string
  /** Who asked for the replay. */
  who: string
}

/** Topic gate.verdicts, key: item id. One a door offset, never with URL or content. Written by the gate; read by on-call, recall and reports. */
export type VerdictRecord = {
  /** Coordinates of the item on the door topic; joins the records of one item. */
  input: Coordinates
  /** Timestamp that the broker gave the item; milliseconds since the epoch, UTC. */
  inputTimestamp: number
  /** Item id; null where the record could not be decoded or the id is malformed. */
  itemId: null | string
  /** When the gate judged; milliseconds since the epoch, UTC. */
  judgedAt: number
  /** clean, quarantine or review. */
  outcome: string
  /** All reason codes, in alphabetical order (closed set: domain/reasons); empty for a clean item with nothing to say. */
  reasons: Array<string>
  /** All matches, ascending by class and distance. */
  matches: Array<Match>
  /** Provenance facts that the envelope lacks, in alphabetical order. */
  missing: Array<MissingFact>
  /** sha256 of the policy in force, lower-case hex. */
  policyHash: string
  /** Every list in force, by name. */
  listVersions: Array<ListVersion>
  /** Version of the engine that inspected and judged. */
  engineVersion: string
  /** IANA media type as sniffed; null where there were no bytes or nothing was recognised. */
  mediaType: null | string
  /** Length of the payload in bytes; null where there were no bytes. */
  size: null | number
  /** sha256 of the payload as the gate computed it, lower-case hex; null where there were no bytes. */
  sha256: null | string
  /** Supply kind from the envelope, for filtering. */
  supplyKind: null | string
  /** Supplier from the envelope, for filtering. */
  supplier: null | string
  /** Dataset from the envelope, for filtering. */
  dataset: null | string
  /** How often this item has been through the door by replay; 0 for the first time. Copied from replay headers, without effect on the verdict. */
  attempt: number
  /** Everything computed from the payload, all frames and orientations. */
  fingerprint: Array<Signal>
  /** Lower-case hex sha256 of the original record in the held store; null for clean items. */
  heldReference: null | string
  /** Copied from well-formed replay headers; null where the item did not come by a replay. */
  replay: null | ReplayClaim
}
