/**
 * Writes `services/domain/records.ts`, the TypeScript types of every schema in `schemas/`, so that the Avro files stay
 * the only truth; `schemas/policy.schema.json` and `schemas/crawl-item.schema.json` from their zod schemas; and the tables of `services/gate/on-call.md` from
 * the codes. `--check` writes nothing and exits 1 when one of them is out of date.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { crawlItemJson } from '../services/domain/envelope-json.ts'
import { surroundings } from '../services/domain/errors.ts'
import { policySchema } from '../services/domain/judge/policy.ts'
import { type Explanation, findings, itemFaults } from '../services/domain/reasons.ts'

type Schema =
  | string
  | Schema[]
  | { type: Schema; name?: string; doc?: string; fields?: Field[]; items?: Schema; values?: Schema }
type Field = { name: string; type: Schema; doc?: string }

const primitives: Record<string, string> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  bytes: 'Buffer',
  string: 'string',
}

/** The TypeScript expression for a schema; record declarations met on the way are added to `declarations`. */
function typeOf(schema: Schema, declarations: Map<string, string>): string {
  if (typeof schema === 'string') return primitives[schema] ?? schema
  if (Array.isArray(schema)) return schema.map((branch) => typeOf(branch, declarations)).join(' | ')
  if (schema.type === 'array') return `Array<${typeOf(schema.items as Schema, declarations)}>`
  if (schema.type === 'map') return `Record<string, ${typeOf(schema.values as Schema, declarations)}>`
  if (schema.type !== 'record') return typeOf(schema.type, declarations)
  const name = schema.name as string
  const fields = (schema.fields ?? []).map(
    (field) => `  /** ${field.doc} */\n  ${field.name}: ${typeOf(field.type, declarations)}\n`,
  )
  const declaration = `/** ${schema.doc} */\nexport type ${name} = {\n${fields.join('')}}\n`
  const before = declarations.get(name)
  if (before !== undefined && before !== declaration) throw new Error(`${name} is not the same in every schema file`)
  declarations.set(name, declaration)
  return name
}

/** A section for each code. A table would be too wide for a terminal. */
function explained(codes: Readonly<Record<string, Explanation>>): string {
  return Object.entries(codes)
    .map(([code, { meaning, action }]) => `### ${code}\n\n${sentence(meaning)}\n\n**What to do:** ${action}\n`)
    .join('\n')
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

/** The page with all behind its mark written anew. */
function onCallPage(page: string): string {
  const tables = { 'Reasons to wait': surroundings, 'Faults of items': itemFaults, 'What matching found': findings }
  const made = Object.entries(tables).map(([heading, codes]) => `## ${heading}\n\n${explained(codes)}`)
  const mark = '<!-- From here on made by `make types` from domain/errors.ts and domain/reasons.ts. -->\n'
  return `${page.split(mark)[0]}${mark}\n${made.join('\n')}`
}

type JsonSchema = {
  description?: string
  properties?: Record<string, JsonSchema>
  anyOf?: JsonSchema[]
  items?: JsonSchema
}

/** Says in a JSON schema what the Avro schema of the same shape says of each field. */
function describe(json: JsonSchema, schema: Schema): void {
  if (typeof schema === 'string') return
  if (Array.isArray(schema)) {
    for (const branch of schema) describe(json, branch)
    return
  }
  if (typeof schema.type !== 'string') describe(json, schema.type)
  for (const inner of json.anyOf ?? []) describe(inner, schema)
  if (json.items && schema.items) describe(json.items, schema.items)
  for (const { name, type, doc } of json.properties === undefined ? [] : (schema.fields ?? [])) {
    const property = json.properties?.[name]
    if (property === undefined) throw new Error(`the JSON form of ${schema.name} lacks the field ${name}`)
    if (doc !== undefined) property.description ??= doc
    describe(property, type)
  }
}

const root = join(import.meta.dirname, '..')
const declarations = new Map<string, string>()
for (const file of readdirSync(join(root, 'schemas')).sort()) {
  if (file.endsWith('.avsc')) typeOf(JSON.parse(readFileSync(join(root, 'schemas', file), 'utf8')), declarations)
}
const policyJsonSchema = { title: 'Policy of the gate', ...z.toJSONSchema(policySchema) }
const itemJsonSchema = { title: 'Item of the door as JSON', ...z.toJSONSchema(crawlItemJson, { io: 'input' }) }
describe(itemJsonSchema as JsonSchema, JSON.parse(readFileSync(join(root, 'schemas/crawl-item.avsc'), 'utf8')))
const generated = {
  'services/domain/records.ts': `// Generated from schemas/*.avsc by \`make types\`; do not edit.\n\n${[...declarations.values()].join('\n')}`,
  'services/gate/on-call.md': onCallPage(readFileSync(join(root, 'services/gate/on-call.md'), 'utf8')),
  'schemas/crawl-item.schema.json': `${JSON.stringify(itemJsonSchema, null, 2)}\n`,
  'schemas/policy.schema.json': `${JSON.stringify(policyJsonSchema, null, 2)}\n`,
}

for (const [file, text] of Object.entries(generated)) {
  const target = join(root, file)
  if (!process.argv.includes('--check')) writeFileSync(target, text)
  else if (!existsSync(target) || readFileSync(target, 'utf8') !== text) {
    process.stderr.write(`${file} does not match what it is made from: run \`make types\` and commit the result\n`)
    process.exitCode = 1
  }
}
