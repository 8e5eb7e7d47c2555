import fc from 'fast-check'
import { LARGEST_LONG } from '../../services/domain/envelope-json.ts'
import type { Envelope } from '../../services/domain/records.ts'

/** What strangers may put where text belongs: any characters, and what steers terminals, breaks lines, forges JSON or names prototypes. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.constantFrom(
    '',
    '\u0000',
    '\u001b[2J\u001b]0;title\u0007',
    'line\r\nbreak\u2028',
    '\u202eright to left',
    '"},{"a":1',
    '__proto__',
    'constructor',
    'https://user:secret@example.org/a?b#c',
    'x'.repeat(5000),
  ),
)
const text = fc.option(anyText)
const long = fc.integer({ min: -LARGEST_LONG, max: LARGEST_LONG })
const whole = fc.option(long)
const int = fc.option(fc.integer())

/** Any envelope that the door's schema takes. */
export function anyEnvelope(id: string): fc.Arbitrary<Envelope> {
  const records = fc.record({
    item: fc.record({ id: fc.constant(id), mediaTypeClaimed: text, collectedAt: whole }),
    payload: fc.constant(null),
    acquisition: fc.option(
      fc.record({
        crawler: text,
        run: text,
        requestedUrl: text,
        finalUrl: text,
        redirects: fc.array(anyText, { maxLength: 5 }),
        status: int,
        responseHeaders: fc.array(fc.record({ name: anyText, value: anyText }), { maxLength: 5 }),
        remoteAddress: text,
        fetchedAt: whole,
        fetchedMd5: text,
        fetchedSha1: text,
        fetchedSha256: text,
        warcFile: text,
        warcOffset: whole,
        warcRecordId: text,
        truncated: text,
      }),
    ),
    origin: fc.option(
      fc.record({
        pageUrl: text,
        pageTitle: text,
        caption: text,
        uploaderId: text,
        uploaderHandle: text,
        uploaderProfileUrl: text,
        uploadedAtClaimed: whole,
        platform: text,
      }),
    ),
    supply: fc.option(
      fc.record({
        kind: fc.oneof(anyText, fc.constantFrom('web-crawl', 'licensed')),
        supplier: text,
        contract: text,
        dataset: text,
        version: text,
        shard: text,
        row: whole,
      }),
    ),
    rights: fc.option(fc.record({ licence: text, robots: text, tdmOptOut: text })),
    synthetic: fc.option(fc.record({ generator: text, digitalSourceType: text })),
    liveness: fc.option(fc.record({ lastSeenAt: whole, status: text })),
    amendments: fc.array(
      fc.record({
        fields: fc.array(anyText, { maxLength: 3 }),
        source: anyText,
        addedBy: anyText,
        addedAt: long,
        original: anyText,
      }),
      { maxLength: 2 },
    ),
    // A message with that key is refused as a whole: the Avro library can't keep it.
    extra: fc.dictionary(
      anyText.filter((key) => key !== '__proto__'),
      anyText,
      { maxKeys: 5 },
    ),
  })
  // Objects like those that a decoder makes.
  return records.map((envelope): Envelope => JSON.parse(JSON.stringify(envelope)))
}
