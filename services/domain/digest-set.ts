/** Four words of 32 bits are kept of each digest: enough that two of a billion are taken for one with a chance of 1 in 10^20. */
const WORDS = 4
const MOST_FULL = 0.7

/**
 * A set of digests in 23 to 46 bytes for each, where a Set of texts takes some 150: for what has to remember every item that there ever was.
 * Nothing is taken out.
 */
export class DigestSet {
  #slots = 1024
  #words = new Uint32Array(this.#slots * WORDS)
  #size = 0

  get size(): number {
    return this.#size
  }

  /**
   * @param digest 16 bytes at least, evenly distributed, as those of a hash are
   * @returns false where it was there before
   */
  add(digest: Uint8Array): boolean {
    const words = wordsOf(digest)
    const slot = this.#find(words)
    if (!this.#isFree(slot)) return false
    this.#words.set(words, slot * WORDS)
    this.#size += 1
    if (this.#size > this.#slots * MOST_FULL) this.#grow()
    return true
  }

  has(digest: Uint8Array): boolean {
    return !this.#isFree(this.#find(wordsOf(digest)))
  }

  /** Its own slot, or the free one where it would be put. */
  #find(words: Uint32Array): number {
    let slot = (words[0] ?? 0) & (this.#slots - 1)
    while (!this.#isFree(slot) && words.some((word, index) => this.#words[slot * WORDS + index] !== word)) {
      slot = (slot + 1) & (this.#slots - 1)
    }
    return slot
  }

  /** All words are 0 in a free one. */
  #isFree(slot: number): boolean {
    const at = slot * WORDS
    return (
      (this.#words[at] ?? 0) === 0 &&
      (this.#words[at + 1] ?? 0) === 0 &&
      (this.#words[at + 2] ?? 0) === 0 &&
      (this.#words[at + 3] ?? 0) === 0
    )
  }

  #grow(): void {
    const before = this.#words
    this.#slots *= 2
    this.#words = new Uint32Array(this.#slots * WORDS)
    for (let at = 0; at < before.length; at += WORDS) {
      const words = before.subarray(at, at + WORDS)
      if (words.some((word) => word !== 0)) this.#words.set(words, this.#find(words) * WORDS)
    }
  }
}

function wordsOf(digest: Uint8Array): Uint32Array {
  const view = new DataView(digest.buffer, digest.byteOffset, WORDS * 4)
  const words = Uint32Array.from({ length: WORDS }, (_, index) => view.getUint32(index * 4, true))
  // No digest is taken for a free slot.
  if (words.every((word) => word === 0)) words[0] = 1
  return words
}
