import type { Option } from 'commander'
import type { Collected } from './door-message.ts'

/** Something that an importer came upon. */
export type Found =
  | { kind: 'item'; collected: Collected }
  /** can't be published: where, which field (empty: all of it), and what was expected instead; it may stand for several things that were not read */
  | { kind: 'bad'; file: string; field: string; expected: string; standsFor?: number }
  /** no item, and that is in order: counted by reason, e.g. `status failed_to_download` */
  | { kind: 'left-out'; reason: string }

/** A file, or whatever else of a source is read from one end to the other. */
export type Part = {
  /** as messages name it, e.g. a shard's path below the source */
  name: string
  /**
   * What the part was when it was listed, e.g. its size and time of change: an import that was cut off goes on inside it only
   * while this is the same. Null: nothing tells whether it is the same, so it is read from its beginning.
   */
  identity: string | null
  /** bytes of its files; null where that says nothing about how much there is to read */
  size: number | null
  /**
   * Reads it little by little; each time in the same order and with the same item ids, and as many things: an import that goes on leaves out as many
   * as are done.
   * @throws {SluiceError} where another time there may be more to read: a disk or a server that does not answer is nothing bad
   */
  read(): AsyncIterable<Found>
}

/** A kind of source of items, called as `sluice crawl NAME SOURCE...`. */
export type Importer = {
  name: string
  summary: string
  description: string
  /** what the sources are called in the help, e.g. DIR; `FILE...` for several */
  argument: string
  argumentMeaning: string
  /** options of its own, beside those that every importer has */
  options: () => Option[]
  example: string
  /** Whether a path looks like a source of this kind, for `sluice crawl check PATH`. */
  recognises(path: string): Promise<boolean>
  /**
   * The parts of the sources, in an order that is the same each time.
   * @param sources what was named, at least one
   * @param options the values of its own options, by their names in camel case
   * @throws {SluiceError} USAGE when there is no such source, or an option is wrong
   */
  parts(sources: readonly string[], options: Readonly<Record<string, unknown>>): AsyncIterable<Part>
}

/** The import of some sources: which importer, what was named, with which values of its own options. */
export type Import = {
  importer: Importer
  sources: readonly string[]
  options: Readonly<Record<string, unknown>>
  /** also what the gate can not inspect yet */
  all: boolean
}
