import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { canonicalJson } from '../../domain/canonical-json.ts'
import type { Receipt } from '../../domain/receipt.ts'
import type { CleanItem, TrainingView } from '../../domain/records.ts'
import { trainingNames } from './dataset-item.ts'

/** An item as the manifest tells it. */
export type ManifestRow = { shard: string; key: string; item: CleanItem; receipt: Receipt }

type Column = {
  name: string
  type: 'STRING' | 'JSON' | 'INT32' | 'INT64'
  nullable?: true
  of: (row: ManifestRow) => string | number | null
}

/** Times are milliseconds since the epoch: crawlers may have told some that no calendar has. */
export const manifestColumns: readonly Column[] = [
  { name: 'shard', type: 'STRING', of: ({ shard }) => shard },
  { name: 'key', type: 'STRING', of: ({ key }) => key },
  { name: 'id', type: 'STRING', of: ({ item }) => item.id },
  { name: 'sha256', type: 'STRING', of: ({ item }) => item.payload.reference },
  { name: 'size', type: 'INT64', of: ({ item }) => item.payload.size },
  { name: 'mediaType', type: 'STRING', of: ({ item }) => item.payload.mediaType },
  { name: 'cluster', type: 'STRING', of: ({ item }) => item.input.cluster },
  { name: 'topic', type: 'STRING', of: ({ item }) => item.input.topic },
  { name: 'partition', type: 'INT32', of: ({ item }) => item.input.partition },
  { name: 'offset', type: 'INT64', of: ({ item }) => item.input.offset },
  ...trainingNames.map(trainingColumn),
  { name: 'policyHash', type: 'STRING', of: ({ receipt }) => receipt.policyHash },
  { name: 'engineVersion', type: 'STRING', of: ({ receipt }) => receipt.engineVersion },
  { name: 'listVersions', type: 'STRING', of: ({ receipt }) => canonicalJson(receipt.listVersions) },
  { name: 'keyId', type: 'STRING', of: ({ receipt }) => receipt.keyId },
  { name: 'signedAt', type: 'INT64', of: ({ receipt }) => receipt.signedAt },
]

function trainingColumn(name: keyof TrainingView): Column {
  return {
    name,
    type: name === 'collectedAt' ? 'INT64' : 'STRING',
    nullable: true,
    of: ({ item }) => item.training[name],
  }
}

/** The manifest of a shard, Parquet: the same rows give the same bytes. */
export function manifestOf(rows: readonly ManifestRow[]): Buffer {
  const columnData = manifestColumns.map(({ name, type, nullable = false, of }) => ({
    name,
    type,
    nullable,
    data: rows.map((row) => {
      const value = of(row)
      return type === 'INT64' && typeof value === 'number' ? BigInt(value) : value
    }),
  }))
  return Buffer.from(parquetWriteBuffer({ columnData, createdBy: 'sluice' }))
}

/** The digests of the items on a manifest of our own, in its order. @throws {Error} where it is damaged */
export async function digestsOn(file: string): Promise<Array<{ key: string; id: string; sha256: string }>> {
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(file), columns: ['key', 'id', 'sha256'] })
  return rows.map(({ key, id, sha256 }) => ({ key: String(key), id: String(id), sha256: String(sha256) }))
}
