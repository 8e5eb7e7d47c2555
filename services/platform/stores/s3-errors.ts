import { SluiceError } from '../../domain/errors.ts'

/** What a request was for, and the right that it needs. */
const rights = {
  GetObject: 's3:GetObject, and s3:ListBucket to be told what is not there',
  HeadObject: 's3:GetObject, and s3:ListBucket to be told what is not there',
  PutObject: 's3:PutObject',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  CompleteMultipartUpload: 's3:PutObject',
  AbortMultipartUpload: 's3:AbortMultipartUpload',
  DeleteObject: 's3:DeleteObject',
  HeadBucket: 's3:ListBucket',
  ListObjectsV2: 's3:ListBucket',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  CreateBucket: 's3:CreateBucket',
} as const
export type S3Request = keyof typeof rights

/** Whom the server knows otherwise than the caller thinks, or not at all. */
const strangers = [
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'RequestTimeTooSkewed',
]

/** What the server answered; null where it did not. */
export function statusOf(error: unknown): number | null {
  const metadata: unknown = Reflect.get(Object(error), '$metadata')
  const status: unknown = Reflect.get(Object(metadata), 'httpStatusCode')
  return typeof status === 'number' ? status : null
}

/** What the server, or its client, calls a failure. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}

/**
 * A fault of the surroundings in a sentence: which store, and whether a right, the bucket, or the server is missing.
 * @param store as people call it: `the clean store`
 */
export function storeError(store: string, bucket: string, request: S3Request, cause: unknown): SluiceError {
  return new SluiceError('STORE_UNREACHABLE', `${store} can't be used: ${whatIsMissing(bucket, request, cause)}`, {
    cause,
  })
}

function whatIsMissing(bucket: string, request: S3Request, cause: unknown): string {
  const [name, status] = [nameOf(cause), statusOf(cause)]
  if (name === 'CredentialsProviderError') return 'there are no credentials; name a profile by AWS_PROFILE'
  if (cause instanceof Error && cause.message === 'Region is missing') return 'there is no region; set AWS_REGION'
  if (strangers.includes(name)) return `the server does not accept the credentials (${name})`
  if (status === 403 || status === 401) return `this principal lacks a right on bucket ${bucket}: ${rights[request]}`
  if (name === 'NoSuchBucket' || status === 404) return `there is no bucket ${bucket}`
  if (status !== null && status < 500) return `its server refuses ${request} with status ${status} (${name})`
  return status === null ? 'its server does not answer' : `its server fails with status ${status}`
}
