import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseTopicsFile } from '../../services/cluster/wanted-topics.ts'

/** `infra/topics.yaml`. */
export const shippedTopics = parseTopicsFile(
  readFileSync(join(import.meta.dirname, '../../infra/topics.yaml'), 'utf8'),
  'topics.yaml',
)
