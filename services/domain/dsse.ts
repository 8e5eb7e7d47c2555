import { type KeyObject, sign, verify } from 'node:crypto'
import { z } from 'zod'

/**
 * A signed envelope by the DSSE specification (secure-systems-lab/dsse, version 1), with one signature of Ed25519.
 * @property payload base64 of the body
 */
export type DsseEnvelope = {
  payloadType: string
  payload: string
  signatures: [{ keyid: string; sig: string }]
}

const base64 = z.base64()
const envelopeSchema = z.strictObject({
  payloadType: z.string(),
  payload: base64,
  signatures: z.tuple([z.strictObject({ keyid: z.string(), sig: base64 })]),
})

/**
 * Signs a body. It takes 40 microseconds: to have another thread do it takes twice as long, most of it to wake that one and to hear of it.
 * @returns the envelope's one JSON text
 */
export function signDsse(payloadType: string, body: string, key: { id: string; key: KeyObject }): string {
  const bytes = Buffer.from(body)
  const sig = sign(null, preAuthentication(payloadType, bytes), key.key)
  return envelopeText({
    payloadType,
    payload: bytes.toString('base64'),
    signatures: [{ keyid: key.id, sig: sig.toString('base64') }],
  })
}

/**
 * Reads an envelope of one signature from its text.
 * @returns null for what is none, or is not written exactly as {@link signDsse} writes it: so that not one bit of it can be another one unnoticed
 */
export function parseDsse(text: string): { payloadType: string; body: Buffer; keyId: string; sig: Buffer } | null {
  const parsed = envelopeSchema.safeParse(jsonOf(text))
  if (!parsed.success) return null
  const { payloadType, payload, signatures } = parsed.data
  const [{ keyid, sig }] = signatures
  const read = { payloadType, body: Buffer.from(payload, 'base64'), keyId: keyid, sig: Buffer.from(sig, 'base64') }
  const again = envelopeText({
    payloadType,
    payload: read.body.toString('base64'),
    signatures: [{ keyid, sig: read.sig.toString('base64') }],
  })
  return again === text ? read : null
}

/** Whether the signature is the key's. Done by a thread of the runtime's own. */
export function isSignedBy(
  { payloadType, body, sig }: Pick<NonNullable<ReturnType<typeof parseDsse>>, 'payloadType' | 'body' | 'sig'>,
  key: KeyObject,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const bytes = preAuthentication(payloadType, body)
    verify(null, bytes, key, sig, (error, isRight) => (error ? reject(error) : resolve(isRight)))
  })
}

function envelopeText({ payloadType, payload, signatures }: DsseEnvelope): string {
  return JSON.stringify({ payloadType, payload, signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig })) })
}

/** What is signed: PAE of the specification. */
function preAuthentication(payloadType: string, body: Uint8Array): Buffer {
  const type = Buffer.from(payloadType)
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${body.length} `), body])
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
