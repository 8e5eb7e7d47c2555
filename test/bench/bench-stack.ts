import { rm } from 'node:fs/promises'
import { stackStatus, startStack, stopStack } from '../../services/cluster/stack/stack.ts'
import { shareStack } from '../integration/shared-stack.ts'

const ROOT = '.sluice/bench-stack'

/**
 * Does `work` on a stack of its own, or on the one that SLUICE_TEST_BROKERS and SLUICE_TEST_REGISTRY name.
 * @param work gets the broker's process id; null where it is none of this machine, or not ours
 */
export async function withStack(work: (broker: number | null) => Promise<void>): Promise<void> {
  if (process.env.SLUICE_TEST_BROKERS !== undefined) return await work(null)
  shareStack(await startStack({ root: ROOT }))
  try {
    const { servers } = await stackStatus({ root: ROOT })
    await work(servers.find(({ server }) => server === 'kafka')?.pid ?? null)
  } finally {
    await stopStack({ root: ROOT })
    await rm(ROOT, { recursive: true, force: true })
  }
}
