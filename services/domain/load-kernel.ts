import { readFileSync } from 'node:fs'
import { SluiceError } from './errors.ts'

/** What of it is used; TypeScript knows it only together with all that a browser has. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports?: { env: { memory: SharedMemory } }) => { exports: unknown }
  Memory: new (size: { initial: number; maximum: number; shared: true }) => SharedMemory
}

/** A kernel's memory; when it grows, `buffer` is another one. */
export type KernelMemory = { readonly buffer: ArrayBuffer; grow(pages: number): number }
/** Memory that may be handed to another thread, whose instance of the kernel finds there what was left. */
export type SharedMemory = { readonly buffer: SharedArrayBuffer; grow(pages: number): number }
/** A number that a kernel exports: an address, or a result. Addresses are without sign. */
export type KernelNumber = { readonly value: number }

const PAGE_BYTES = 65_536
/** As `kernels/asconfig.json` says of kernels in shared memory: 1 MiB, 4 GiB. */
const SHARED_PAGES = { initial: 16, maximum: 65_536 }

const modules = new Map<string, object>()

/** Memory for a kernel that works in shared memory. @throws {RangeError} when there is none to be had */
export function sharedMemory(): SharedMemory {
  return new WebAssembly.Memory({ ...SHARED_PAGES, shared: true })
}

/**
 * A new instance of a kernel.
 * @param name file name in `kernels/` without its ending
 * @param memory where it works in shared memory; else it has memory of its own
 * @throws {SluiceError} INSTALL_MISSING when it has not been built
 */
export function loadKernel<Exports>(name: string, memory?: SharedMemory): Exports {
  let module = modules.get(name)
  if (module === undefined) {
    module = new WebAssembly.Module(bytesOf(name))
    modules.set(name, module)
  }
  return new WebAssembly.Instance(module, memory && { env: { memory } }).exports as Exports
}

/**
 * Lets a kernel's memory grow to so many bytes, where it is smaller.
 * @throws {RangeError} when there is no such memory to be had; a kernel's ends at 4 GiB
 */
export function makeRoom(memory: KernelMemory | SharedMemory, bytes: number): void {
  const lacking = bytes - memory.buffer.byteLength
  if (lacking > 0) memory.grow(Math.ceil(lacking / PAGE_BYTES))
}

function bytesOf(name: string): Buffer {
  try {
    return readFileSync(new URL(`kernels/${name}.wasm`, import.meta.url))
  } catch (cause) {
    const sentence = `the kernel ${name} can not be read: run \`make setup\`, which builds it`
    throw new SluiceError('INSTALL_MISSING', sentence, { cause })
  }
}
