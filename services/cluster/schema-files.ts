import avro from 'avsc'
import { z } from 'zod'
import { schemaText } from '../platform/avro.ts'

type Json = z.infer<ReturnType<typeof z.json>>

/**
 * What is wrong with schema files by themselves: each must be Avro, and a name must mean the same in all of them.
 * @param names file names in `schemas/` without their ending
 * @returns one sentence a problem
 */
export function problemsOfFiles(names: readonly string[]): string[] {
  const definitions = new Map<string, { text: string; file: string }>()
  const problems: string[] = []
  for (const name of names) {
    const file = `schemas/${name}.avsc`
    try {
      const schema = z.json().parse(JSON.parse(schemaText(name)))
      avro.Type.forSchema(JSON.parse(schemaText(name)))
      for (const [type, text] of namedTypes(schema)) {
        const first = definitions.get(type)
        if (first !== undefined && first.text !== text)
          problems.push(`${file}: ${type} is not the same as in ${first.file}`)
        definitions.set(type, first ?? { text, file })
      }
    } catch (error) {
      problems.push(`${file}: expected an Avro schema: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return problems
}

/** Every named type that is defined somewhere in a schema, with its definition as text. */
function namedTypes(schema: Json): Array<[string, string]> {
  if (typeof schema !== 'object' || schema === null) return []
  if (Array.isArray(schema)) return schema.flatMap(namedTypes)
  const inner = Object.values(schema).flatMap(namedTypes)
  const isDefinition = typeof schema.name === 'string' && ['record', 'enum', 'fixed'].includes(String(schema.type))
  return isDefinition ? [[String(schema.name), canonical(schema)], ...inner] : inner
}

/** JSON with sorted keys; the namespace, which only the outermost type of a file spells out, left away. */
function canonical(schema: Json): string {
  return JSON.stringify(schema, (key, value: unknown) => {
    if (key === 'namespace') return undefined
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/**
 * Whether two schemas can read each other's values.
 * @returns what stands in the way, as a sentence's end; null when nothing does
 */
export function incompatibility(ours: string, theirs: string): string | null {
  const [mine, other] = [ours, theirs].map((text) => avro.Type.forSchema(JSON.parse(text)))
  if (mine === undefined || other === undefined) return null
  return (
    unreadable(mine, other, 'ours can not read its values') ?? unreadable(other, mine, 'it can not read our values')
  )
}

function unreadable(reader: avro.Type, writer: avro.Type, meaning: string): string | null {
  try {
    reader.createResolver(writer)
    return null
  } catch (error) {
    return `${meaning}: ${error instanceof Error ? error.message : String(error)}`
  }
}
