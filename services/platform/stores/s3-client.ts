import { S3Client } from '@aws-sdk/client-s3'

const CONNECT_MS = 5000
/** A server from which nothing comes for so long is not there. */
const SILENCE_MS = 30_000
const SOCKETS = 64

/**
 * A client of S3, or of another server that speaks it. Who it is and in which region follows from the environment as for all that use the SDK:
 * AWS_PROFILE and the files in ~/.aws, a role of the machine, AWS_REGION.
 * @param endpoint URL of the server; null: as the SDK finds it
 */
export function createS3Client(endpoint: string | null): S3Client {
  return new S3Client({
    // Buckets as part of a host's name want a wildcard in its DNS, which few servers but Amazon's have.
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    maxAttempts: 3,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: SILENCE_MS,
      throwOnRequestTimeout: true,
      socketTimeout: SILENCE_MS,
      httpAgent: { keepAlive: true, maxSockets: SOCKETS },
      httpsAgent: { keepAlive: true, maxSockets: SOCKETS },
    },
  })
}
