import { readWarc } from '../../services/crawl/warc/read-warc.ts'
import { keepYoungSpaceSmall } from '../../services/platform/release-memory.ts'

/* As `sluice crawl` does: reads the WARC that is named, keeps nothing of it, and prints {items, peak}: the most memory that this process held, in MiB. */

keepYoungSpaceSmall()
const [, , path = ''] = process.argv
const supplied = { supplier: null, dataset: null, version: null }
let items = 0
for await (const { kind } of readWarc(path, { file: path, supplied })) if (kind === 'item') items++
process.stdout.write(JSON.stringify({ items, peak: process.resourceUsage().maxRSS / 1024 }))
