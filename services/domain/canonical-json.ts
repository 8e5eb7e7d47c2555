/**
 * The one JSON text of a value, by the JSON Canonicalization Scheme (RFC 8785): keys sorted by UTF-16 code units, no white space, numbers as JavaScript
 * writes them. Text that is not well-formed Unicode is taken as Avro writes it: U+FFFD for a lone surrogate. What is undefined is left out.
 * @param value of objects, arrays, texts, finite numbers, booleans and null
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed())
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, field]) => `${JSON.stringify(key.toWellFormed())}:${canonicalJson(field)}`).join(',')}}`
}
