import { readFileSync } from 'node:fs'
import { SluiceError } from './errors.ts'

/** What of it is used; TypeScript knows it only together with all that a browser has. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { exports: unknown }
}

/** A kernel's memory; when it grows, `buffer` is another one. */
export type KernelMemory = { readonly buffer: ArrayBuffer; grow(pages: number): number }
/** A number that a kernel exports: an address, or a result. Addresses are without sign. */
export type KernelNumber = { readonly value: number }

const PAGE_BYTES = 65_536

const modules = new Map<string, object>()

/**
 * A new instance of a kernel, with memory of its own.
 * @param name file name in `kernels/` without its ending
 * @throws {SluiceError} INSTALL_MISSING when it has not been built
 */
export function loadKernel<Exports>(name: string): Exports {
  let module = modules.get(name)
  if (module === undefined) {
    module = new WebAssembly.Module(bytesOf(name))
    modules.set(name, module)
  }
  return new WebAssembly.Instance(module).exports as Exports
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
