import { readFileSync } from 'node:fs'
import { SluiceError } from './errors.ts'

/** What of it is used; TypeScript knows it only together with all that a browser has. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: { env: { memory: KernelMemory } }) => { exports: unknown }
  Memory: new (size: { initial: number; maximum: number; shared: true }) => KernelMemory
}

/**
 * A kernel's memory. When it grows, `buffer` is another one, and what was made of the one before goes on showing the same bytes. It may be handed to another thread, whose
 * instance of the kernel finds there what this one has left.
 */
export type KernelMemory = { readonly buffer: SharedArrayBuffer; grow(pages: number): number }
/** A number that a kernel exports: an address, or a result. Addresses are without sign. */
export type KernelNumber = { readonly value: number }

const PAGE_BYTES = 65_536
/** As `kernels/asconfig.json` says: 1 MiB, 4 GiB. */
const PAGES = { initial: 16, maximum: 65_536 }

const modules = new Map<string, object>()

/** Memory for a kernel. @throws {RangeError} when there is none to be had */
export function kernelMemory(): KernelMemory {
  return new WebAssembly.Memory({ ...PAGES, shared: true })
}

/**
 * A new instance of a kernel.
 * @param name file name in `kernels/` without its ending
 * @param memory where it works, or has worked
 * @throws {SluiceError} INSTALL_MISSING when it has not been built
 */
export function loadKernel<Exports>(name: string, memory: KernelMemory): Exports {
  let module = modules.get(name)
  if (module === undefined) {
    module = new WebAssembly.Module(bytesOf(name))
    modules.set(name, module)
  }
  return new WebAssembly.Instance(module, { env: { memory } }).exports as Exports
}

/**
 * Lets a kernel's memory grow to so many bytes, where it is smaller.
 * @throws {RangeError} when there is no such memory to be had; a kernel's ends at 4 GiB
 */
export function makeRoom(memory: KernelMemory, bytes: number): void {
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
