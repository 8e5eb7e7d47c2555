/**
 * Gives memory back at once, and with it all that shares its buffer: nothing may read there any more. Left to the collector, what comes in and goes out piles up, and has it
 * go through all else again and again.
 */
export function giveBack({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0)
}
