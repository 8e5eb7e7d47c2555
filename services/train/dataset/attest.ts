import { canonicalJson } from '../../domain/canonical-json.ts'
import { signDsse } from '../../domain/dsse.ts'
import type { SigningKey } from '../../platform/signing-key.ts'
import type { RecallsHead } from './recall-file.ts'
import type { Verified } from './verify.ts'

/** The type of the body in the DSSE envelope, by the specification of in-toto. */
export const STATEMENT_TYPE = 'application/vnd.in-toto+json'
const PREDICATE_TYPE = 'urn:sluice:attestation:clean-dataset:v1'

/**
 * What somebody who has verified a dataset signs: an in-toto statement (v1) about each of its files.
 * @param recalls up to where recalls were known; null where nobody asked for them
 * @returns a DSSE envelope, JSON text
 * @throws {RangeError} when something in it does not hold
 */
export function attest(
  { items, problems, sums, redacted, files }: Verified,
  recalls: RecallsHead | null,
  key: SigningKey,
  now: number,
): string {
  if (problems > 0) throw new RangeError('nothing is attested of a dataset that does not hold')
  const { items: _, ...told } = sums
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: files.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: PREDICATE_TYPE,
    predicate: { items, redacted, ...told, recalls, verifiedAt: now },
  }
  return signDsse(STATEMENT_TYPE, canonicalJson(statement), key)
}
