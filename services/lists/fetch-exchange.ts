import { SluiceError } from '../domain/errors.ts'
import type { PackedEntries } from '../domain/packed-entries.ts'
import { openExchangeState } from './exchange-state.ts'
import { createAsk, type Patience } from './exchanges/ask.ts'
import type { Exchange } from './exchanges/exchange.ts'

export type FetchOptions = {
  /** of the exchange and its list */
  name: string
  exchange: Exchange
  /** folder that keeps what was fetched */
  folder: string
  /** how long is tried; default: some minutes a page */
  patience?: Patience
  /** the clock; milliseconds since the epoch */
  now?: () => number
  /** What is handed over does not become a version: the next time hands it over once more. */
  isTrial?: boolean
  /** Called after each page. */
  onPage?: (counts: FetchCounts) => void
}

export type FetchCounts = {
  pages: number
  /** entries that the exchange has told of since the last version, withdrawals included */
  read: number
  /** of these, those that could not be read, wholly or in part */
  corrupt: number
}

/** All that an exchange has, as a version that can be handed on. */
export type Fetched = FetchCounts & {
  entries: PackedEntries
  /** when the source was last known to be current; milliseconds since the epoch */
  checkedAt: number
}

/**
 * Fetches what is new of an exchange, from where the last time ended or was ended, and hands over all there is. Only when that went well is it done:
 * else the next time fetches the same once more.
 * @throws {SluiceError} EXCHANGE_UNREACHABLE, EXCHANGE_UNREADABLE (also when too much is corrupt), CONFIG_INVALID, STORE_UNREACHABLE
 */
export async function fetchExchange<Result>(
  options: FetchOptions,
  handOver: (fetched: Fetched) => Promise<Result>,
): Promise<Result> {
  const { name, exchange, folder, patience, now = Date.now, onPage } = options
  const state = await openExchangeState(folder, name, exchange)
  try {
    let [pages, checkedAt] = [0, now()]
    const counts = (): FetchCounts => ({ pages, read: state.read, corrupt: state.corrupt })
    const ask = createAsk({ now, ...(patience ? { patience } : {}) })
    for await (const page of exchange.pages(state.position, { ask, now })) {
      await state.keep(page)
      pages += 1
      checkedAt = Math.min(checkedAt, page.asOf ?? checkedAt)
      onPage?.(counts())
    }
    const { read, corrupt } = counts()
    if (corrupt > Math.max(exchange.mostCorrupt, read / 1000)) {
      await state.refuse()
      const bound = `mostCorrupt allows ${exchange.mostCorrupt}, or one in a thousand`
      throw new SluiceError('EXCHANGE_UNREADABLE', `${name}: ${corrupt} of ${read} entries are corrupt; ${bound}`)
    }
    if (state.list.size === 0) {
      await state.refuse()
      throw new SluiceError('EXCHANGE_UNREADABLE', `${name}: the exchange has no entry at all: is that the right one?`)
    }
    const result = await handOver({ ...counts(), entries: state.list.snapshot(), checkedAt })
    if (!options.isTrial) await state.published()
    return result
  } finally {
    await state.close()
  }
}
