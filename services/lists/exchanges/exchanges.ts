import { z } from 'zod'
import { parseCheckedYaml } from '../../domain/checked-yaml.ts'
import { SluiceError } from '../../domain/errors.ts'
import { LIST_NAME } from '../../domain/hash-list.ts'
import { readTextFile } from '../../platform/settings.ts'
import type { Exchange } from './exchange.ts'
import { ncmec } from './ncmec.ts'
import { stopncii } from './stopncii.ts'
import { threatexchange } from './threatexchange.ts'

/** The kinds of exchanges. A new one is a new file here and one line in this table. */
const kinds = [ncmec, stopncii, threatexchange] as const

const fileSchema = z.strictObject({
  version: z.literal(1),
  exchanges: z
    .record(z.string().regex(LIST_NAME), z.discriminatedUnion('kind', kinds))
    .refine((exchanges) => Object.keys(exchanges).length > 0, 'expected at least one exchange'),
})

/**
 * The exchanges that a file names; each is called as its list.
 * @throws {SluiceError} CONFIG_INVALID naming file, line, field and what was expected
 */
export function parseExchanges(text: string, fileName: string): Map<string, Exchange> {
  return new Map(Object.entries(parseCheckedYaml(text, fileName, fileSchema, 'CONFIG_INVALID').exchanges))
}

/**
 * The exchange of that name in a file.
 * @throws {SluiceError} CONFIG_INVALID; USAGE where the file has none of that name
 */
export function findExchange(name: string, file: string): Exchange {
  const exchanges = parseExchanges(readTextFile('CONFIG_INVALID', file), file)
  const exchange = exchanges.get(name)
  if (exchange !== undefined) return exchange
  throw new SluiceError('USAGE', `${file} names no such exchange; it has ${[...exchanges.keys()].join(', ')}`)
}
