/** Deeper drawings, or longer chains of references, are traps. */
const deepest = 100

type Group = { elements: number; references: string[] }

/** Counts what is drawn, things drawn again by reference included, before anything is. */
export type Tally = {
  /** @param references ids that the element draws or is drawn with */
  enter(id: string | undefined, references: readonly string[]): void
  leave(): void
  /** Elements that are drawn in all; infinite where something is drawn within itself. */
  total(): number
}

export function createTally(): Tally {
  const groups = new Map<string, Group>()
  const root: Group = { elements: 0, references: [] }
  const open: (Group | null)[] = []
  let tooDeep = false

  function groupOf(id: string): Group {
    const group = groups.get(id) ?? { elements: 0, references: [] }
    groups.set(id, group)
    return group
  }

  function count(group: Group, counted: Map<Group, number>, depth: number): number {
    const known = counted.get(group)
    if (known !== undefined) return known
    if (depth > deepest) return Number.POSITIVE_INFINITY
    // Whoever comes back here before the sum is known has gone in a circle.
    counted.set(group, Number.POSITIVE_INFINITY)
    let sum = group.elements
    for (const id of group.references) {
      const target = groups.get(id)
      if (target !== undefined) sum += count(target, counted, depth + 1)
    }
    counted.set(group, sum)
    return sum
  }

  return {
    enter(id, references) {
      open.push(id === undefined ? null : groupOf(id))
      tooDeep ||= open.length > deepest
      if (tooDeep) return
      for (const group of [root, ...open]) {
        if (group === null) continue
        group.elements++
        group.references.push(...references)
      }
    },
    leave() {
      open.pop()
    },
    total: () => (tooDeep ? Number.POSITIVE_INFINITY : count(root, new Map(), 0)),
  }
}
