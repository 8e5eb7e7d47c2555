import type { Collected } from './door-message.ts'

/** Something that an importer came upon: an item to publish, or one that can't be, with what was expected instead. */
export type Found =
  | { kind: 'item'; collected: Collected }
  | { kind: 'bad'; file: string; field: string; expected: string }

/** A source of items, called as `sluice crawl NAME SOURCE`. */
export type Importer = {
  name: string
  summary: string
  description: string
  /** what the source is called in the help, e.g. DIR */
  argument: string
  argumentMeaning: string
  example: string
  /**
   * Reads a source, little by little, in an order and with item ids that are the same each time.
   * @throws {SluiceError} a usage error when there is no such source
   */
  read(source: string): AsyncIterable<Found>
}
