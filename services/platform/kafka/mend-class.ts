import { createRequire } from 'node:module'
import { z } from 'zod'

const mended = new Set<string>()

/**
 * Changes one of the client library's own classes, once for all of its instances and for each harm.
 * @param file the class's file within the library, like `consumer/runner.js`
 * @param methods what the change stands on
 * @param harm what would become of us without the change
 * @throws {Error} when the class has no such methods: it is not the one that the change was written for
 */
export function mendClass<Instance extends object>(
  file: string,
  methods: ReadonlyArray<keyof Instance & string>,
  harm: string,
  mend: (prototype: Instance) => void,
): void {
  const key = `${file}: ${harm}`
  if (mended.has(key)) return
  const libraryClass = z.custom<{ prototype: Instance }>(
    (found) =>
      typeof found === 'function' &&
      methods.every((name) => typeof Reflect.get(Object(found.prototype), name) === 'function'),
    `kafkajs is not as expected: ${file} has no ${methods.join(' or no ')}; ${harm}`,
  )
  mend(libraryClass.parse(createRequire(import.meta.url)(`kafkajs/src/${file}`)).prototype)
  mended.add(key)
}
