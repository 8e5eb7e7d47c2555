import { leavePictureRoom, takePictureRoom } from '../../domain/pdq.ts'
import { giveBack } from '../../platform/give-back.ts'

/*
 * Memory for decoded pictures, which are megabytes each. Left to the collector they pile up, and the system clears fresh memory for the next one: a third
 * of the time that decoding takes.
 */

/** Memory for a picture that is decoded here, best where it is hashed; what is in it is undefined. To be given back as soon as it has been hashed. */
export function takeMemory(bytes: number): Uint8Array {
  return takePictureRoom(bytes) ?? Buffer.allocUnsafeSlow(bytes)
}

/**
 * Gives it back as soon as it has been hashed, wherever it is from.
 * @param memory as it was taken
 */
export function giveMemoryBack(memory: Uint8Array): void {
  leavePictureRoom(memory)
  giveBack(memory)
}
