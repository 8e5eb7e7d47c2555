import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AccessFile, parseAccessFile } from '../../../services/cluster/access/access-file.ts'

export const accessText = readFileSync(join(import.meta.dirname, '../../../infra/access.yaml'), 'utf8')

/** `infra/access.yaml`. */
export const shippedAccess: AccessFile = parseAccessFile(accessText, 'access.yaml')
