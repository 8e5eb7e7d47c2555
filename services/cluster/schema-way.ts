import type { ExportedSchema } from './schemas-file.ts'

/** A version that a registry lacks. */
export type MissingSchema = ExportedSchema & { subject: string }

/** What the registry tells of a schema, whatever subject it is of. */
export type SchemaTold = Pick<ExportedSchema, 'schemaType' | 'schema' | 'references'>

/** How versions get into one kind of registry under the ids that they had. */
export type SchemaWay = {
  /** The schema that has an id; null where none has. */
  schemaOf(id: number): Promise<SchemaTold | null>
  /** What stands in the way, as sentences' ends with `it` for the registry. Writes nothing. */
  objections(missing: readonly MissingSchema[]): Promise<string[]>
  /** @param missing each behind what it refers to @returns the id that each was given */
  write(missing: readonly MissingSchema[]): Promise<number[]>
  /** Puts right what a restore that was cut short has left of these subjects. */
  finish?(subjects: readonly string[]): Promise<void>
}
