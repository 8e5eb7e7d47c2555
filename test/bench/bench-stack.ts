import { globalSetup, globalTeardown, sharedBroker } from '../integration/shared-stack.ts'

/**
 * Does `work` on a stack of its own, or on the one that SLUICE_TEST_BROKERS and SLUICE_TEST_REGISTRY name.
 * @param work gets the broker's process id; null where it is none of this machine, or not ours
 */
export async function withStack(work: (broker: number | null) => Promise<void>): Promise<void> {
  if (process.env.SLUICE_TEST_BROKERS !== undefined) return await work(null)
  await globalSetup()
  try {
    await work(await sharedBroker())
  } finally {
    await globalTeardown()
  }
}
