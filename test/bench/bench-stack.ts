import { rm } from 'node:fs/promises'
import { startStack, stopStack } from '../../services/cluster/stack/stack.ts'

const ROOT = '.sluice/bench-stack'

/** Does `work` on a stack of its own, or on the one that SLUICE_TEST_BROKERS and SLUICE_TEST_REGISTRY name. */
export async function withStack(work: () => Promise<void>): Promise<void> {
  if (process.env.SLUICE_TEST_BROKERS !== undefined) return await work()
  const { brokers, registry } = await startStack({ root: ROOT })
  process.env.SLUICE_TEST_BROKERS = brokers.join(',')
  process.env.SLUICE_TEST_REGISTRY = registry
  try {
    await work()
  } finally {
    await stopStack({ root: ROOT })
    await rm(ROOT, { recursive: true, force: true })
  }
}
