import { leavePictureRoom, takePictureRoom } from '../../domain/pdq.ts'

/*
 * Memory for decoded pictures, which are megabytes each. Left to the collector they pile up, and the system clears fresh memory for the next one: a third
 * of the time that decoding takes.
 */

/** Memory for a picture that is decoded here, best where it is hashed; what is in it is undefined. To be given back as soon as it has been hashed. */
export function takeMemory(bytes: number): Uint8Array {
  return takePictureRoom(bytes) ?? Buffer.allocUnsafeSlow(bytes)
}

/**
 * Gives memory back at once, wherever it is from, and with it all that shares its buffer: nothing for parts of a pool.
 * @param memory as it was taken
 */
export function giveBack(memory: Uint8Array): void {
  const { buffer } = memory
  if (!(buffer instanceof ArrayBuffer)) leavePictureRoom(memory)
  else if (!buffer.detached) buffer.transfer(0)
}
