import type { Inspection, InspectLimits } from '../../domain/fingerprint.ts'
import { sniffMediaType } from '../../platform/sniff-media-type.ts'
import { formats } from './decode.ts'
import { inspectPicture } from './picture.ts'

/** Looks into payloads of one media family. Throws only on faults of its own: the scanner dies of it. */
type Inspector = (
  payload: Uint8Array,
  mediaType: string,
  limits: InspectLimits,
) => Promise<Pick<Inspection, 'fingerprint' | 'faults'>>

const inspectors = new Map<string, Inspector>(Object.keys(formats).map((mediaType) => [mediaType, inspectPicture]))

/** Inspects a payload in this process. The gate does it in scanner processes: see scanners.ts. */
export async function inspectPayload(payload: Uint8Array, limits: InspectLimits): Promise<Inspection> {
  if (payload.length === 0) return { mediaType: null, fingerprint: [], faults: ['PAYLOAD_EMPTY'] }
  const mediaType = await sniffMediaType(payload)
  const inspector = inspectors.get(mediaType ?? '')
  if (mediaType === null || inspector === undefined) {
    return { mediaType, fingerprint: [], faults: ['MEDIA_UNSUPPORTED'] }
  }
  return { mediaType, ...(await inspector(payload, mediaType, limits)) }
}
