import { hash } from 'node:crypto'

/** Chance that can be had again: the same seed leads to the same answers. */
export type Chance = {
  /** 0 up to 1 */
  next(): number
  /** a whole number, both ends included */
  between(from: number, to: number): number
  pick<Item>(items: readonly Item[]): Item
}

/** @param seed whole number; @param who keeps the draws of several actors of one run apart */
export function createChance(seed: number, who = ''): Chance {
  let drawn = 0
  const next = (): number => hash('sha256', `${seed}/${who}/${drawn++}`, 'buffer').readUInt32BE() / 2 ** 32
  return {
    next,
    between: (from, to) => from + Math.floor(next() * (to - from + 1)),
    pick(items) {
      const item = items[Math.floor(next() * items.length)]
      if (item === undefined) throw new RangeError('there is nothing to pick from')
      return item
    },
  }
}

/** 256 bytes that look like noise, others for each seed. */
export function seededBytes(seed: number): Buffer {
  return Buffer.concat(Array.from({ length: 8 }, (_, part) => hash('sha256', `${seed}/${part}`, 'buffer')))
}
