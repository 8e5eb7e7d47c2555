/** Text that JSON writes as it stands, as nearly all of ours is. */
const PLAIN = /^[ !#-[\]-~]*$/

/**
 * The one JSON text of a value, by the JSON Canonicalization Scheme (RFC 8785): keys sorted by UTF-16 code units, no white space, numbers as JavaScript
 * writes them. Text that is not well-formed Unicode is taken as Avro writes it: U+FFFD for a lone surrogate. What is undefined is left out.
 * @param value of objects, arrays, texts, finite numbers, booleans and null
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return textJson(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  // Three times for each item that is cleared: put together piece by piece it takes two thirds of the time that lists of pieces do.
  let json = ''
  if (Array.isArray(value)) {
    for (const each of value) json += `${json === '' ? '' : ','}${canonicalJson(each)}`
    return `[${json}]`
  }
  const fields = value as Record<string, unknown>
  for (const key of Object.keys(fields).sort()) {
    const field = fields[key]
    if (field !== undefined) json += `${json === '' ? '' : ','}${textJson(key)}:${canonicalJson(field)}`
  }
  return `{${json}}`
}

function textJson(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text.toWellFormed())
}
