import { parseArgs } from 'node:util'
import { z } from 'zod'

/** A whole number above zero, as a word. */
export const wholeNumber = z
  .string()
  .regex(/^[1-9]\d{0,9}$/)
  .transform(Number)

/** True where it is given. */
export const flag = z.boolean().default(false)

/**
 * The options of a benchmark's command line. On wrong ones it says how it is used and ends with exit code 2.
 * @param usage ends the sentence `usage: `
 * @param fields an option each: {@link flag}, or whatever reads a word
 */
export function readOptions<Fields extends z.ZodRawShape>(usage: string, fields: Fields): z.infer<z.ZodObject<Fields>> {
  const options = Object.entries(fields).map(([name, field]) => {
    return [name, { type: field === flag ? ('boolean' as const) : ('string' as const) }]
  })
  try {
    return z.object(fields).parse(parseArgs({ options: Object.fromEntries(options) }).values)
  } catch {
    process.stderr.write(`usage: ${usage}\n`)
    process.exit(2)
  }
}
