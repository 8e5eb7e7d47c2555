import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { z } from 'zod'
import { openLibc } from './libc.ts'

let collect: (() => void) | null = null
let trim: (() => void) | null = null

/**
 * Gives back shared memory that nobody in this thread uses any more. To the garbage collector it weighs nothing: an idle thread would
 * keep gigabytes for hours. Takes some hundredths of a second.
 */
export function releaseMemory(): void {
  if (collect === null) {
    setFlagsFromString('--expose-gc')
    collect = z.custom<() => void>((found) => typeof found === 'function').parse(runInNewContext('gc'))
  }
  collect()
}

/**
 * Gives free memory back to the system, where it can be asked to (Linux with glibc). What one thread takes and another frees is left lying between what is in use: after a quarter
 * of an hour at work a gate held 60 MiB of 617 so, and more each time that it had more to do than before (measured). Done by a thread of the runtime's own, in some
 * hundredths of a second.
 */
export function returnFreeMemory(): void {
  trim ??= openTrim()
  trim()
}

function openTrim(): () => void {
  const malloc = openLibc()?.find('int malloc_trim(size_t pad)')
  return () => malloc?.async(0, () => undefined)
}

/**
 * Keeps this process's space for young objects from growing any more. A long stream of buffers has it doubled again and again, and the larger it is, the more
 * buffers that nobody uses wait in it to be swept: reading 2 GB took 40 % more memory than reading 200 MB (measured), and takes 3 % more like this.
 */
export function keepYoungSpaceSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
}
