import type { Settings } from '../settings.ts'
import { createFileStore } from './file-store.ts'
import { createFileThreads } from './file-threads.ts'
import type { Store, StoreName } from './store.ts'

/** Of the settings, those that say where the stores are. */
export type StoresPlace = Pick<Settings, 'stores' | 's3Endpoint'>

/**
 * A store where the settings say: in a folder, or `s3://NAME`, which is the bucket NAME-intake, NAME-clean, and so on. `s3://NAME/PREFIX` puts
 * PREFIX/ before every key. Nothing is asked of it yet.
 * @param threads of a store in a folder: calls that may wait for its disk at the same time
 */
export async function openStore(
  { stores, s3Endpoint }: StoresPlace,
  name: StoreName,
  { threads }: { threads?: number } = {},
): Promise<Store> {
  if (!stores.startsWith('s3://')) {
    return createFileStore(stores, name, threads === undefined ? undefined : createFileThreads({ most: threads }))
  }
  const [bucket = '', ...prefix] = stores.slice('s3://'.length).replace(/\/$/, '').split('/')
  // Whoever keeps stores in folders does not wait for the client of others.
  const [{ createS3Store }, { createS3Client }] = await Promise.all([import('./s3-store.ts'), import('./s3-client.ts')])
  const client = createS3Client(s3Endpoint)
  return createS3Store({ client, bucket: `${bucket}-${name}`, prefix: prefix.join('/') }, name)
}
