import { setTimeout as wait } from 'node:timers/promises'
import { SluiceError } from '../../services/domain/errors.ts'
import { isPassing, isWithoutCoordinator } from '../../services/platform/kafka/kafka-failure.ts'

/** Long: a machine may be slow, and only what fails waits for so long. */
export const PATIENCE_SECONDS = 300

export type Waiting = {
  /** deadline */
  seconds?: number
  /** between two looks */
  everyMs?: number
}

/**
 * Resolves with the first truthy answer of `condition`.
 * @param what ends the sentence "waited in vain until ..."
 * @throws {Error} at the deadline, with the last answer; at once when `condition` throws
 */
export async function waitFor<Answer>(
  what: string,
  condition: () => Answer | Promise<Answer>,
  { seconds = PATIENCE_SECONDS, everyMs = 100 }: Waiting = {},
): Promise<Exclude<Answer, false | null | undefined | 0 | ''>> {
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    const answer = await condition()
    if (isTruthy(answer)) return answer
    if (performance.now() > deadline) {
      throw new Error(`waited ${seconds} s in vain until ${what}; last answer: ${JSON.stringify(answer)}`)
    }
    await wait(everyMs)
  }
}

function isTruthy<Answer>(answer: Answer): answer is Exclude<Answer, false | null | undefined | 0 | ''> {
  return Boolean(answer)
}

/** Asks `check` again and again for some time, where the promise is that nothing happens; it throws when something does. */
export async function watchFor(seconds: number, check: () => void | Promise<void>): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    await check()
    await wait(500)
  }
  await check()
}

/** Whether a broker was only slow to answer, or none was found that coordinates: whoever reads asks again. */
export function isSlowness(trouble: unknown): boolean {
  return (
    (isPassing(trouble) || isWithoutCoordinator(trouble)) &&
    !(trouble instanceof SluiceError && trouble.code === 'POSITION_JUMPED')
  )
}
