import { readFileSync } from 'node:fs'
import { SluiceError } from './errors.ts'

/** What of it is used; TypeScript knows it only together with all that a browser has. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: object) => { exports: unknown }
  Memory: new (size: { initial: number; maximum: number; shared: true }) => SharedMemory
}

/** A kernel's memory; when it grows, `buffer` is another one. */
export type KernelMemory = { readonly buffer: ArrayBuffer }
/** A memory that instances in several threads may work on. */
export type SharedMemory = { readonly buffer: SharedArrayBuffer; grow(pages: number): number }
/** A number that a kernel exports: an address, or a result. */
export type KernelNumber = { readonly value: number }

const PAGE_BYTES = 65_536
/** 4 GiB: as far as a kernel's addresses go. */
const MOST_PAGES = 65_536

const modules = new Map<string, object>()

/** A shared memory without room; see {@link makeRoom}. */
export function sharedMemory(): SharedMemory {
  return new WebAssembly.Memory({ initial: 1, maximum: MOST_PAGES, shared: true })
}

/**
 * Lets a memory grow to so many bytes, where it is smaller.
 * @throws {RangeError} when there is no such memory to be had; a kernel's ends at 4 GiB
 */
export function makeRoom(memory: SharedMemory, bytes: number): void {
  const lacking = bytes - memory.buffer.byteLength
  if (lacking > 0) memory.grow(Math.ceil(lacking / PAGE_BYTES))
}

/**
 * A new instance of a kernel.
 * @param name file name in `kernels/` without its ending
 * @param memory for a kernel that has none of its own
 * @throws {SluiceError} INSTALL_MISSING when it has not been built
 */
export function loadKernel<Exports>(name: string, memory?: SharedMemory): Exports {
  let module = modules.get(name)
  if (module === undefined) {
    module = new WebAssembly.Module(bytesOf(name))
    modules.set(name, module)
  }
  return new WebAssembly.Instance(module, { env: { memory } }).exports as Exports
}

function bytesOf(name: string): Buffer {
  try {
    return readFileSync(new URL(`kernels/${name}.wasm`, import.meta.url))
  } catch (cause) {
    const sentence = `the kernel ${name} can not be read: run \`make setup\`, which builds it`
    throw new SluiceError('INSTALL_MISSING', sentence, { cause })
  }
}
