/** What the operating system calls a failure; null for one that is not its own. */
export function codeOf(error: unknown): string | null {
  const code: unknown = Reflect.get(Object(error), 'code')
  return typeof code === 'string' ? code : null
}
