import { rm } from 'node:fs/promises'
import type { Stack } from '../../services/cluster/stack/provider.ts'
import { eraseStack, stackStatus, startStack } from '../../services/cluster/stack/stack.ts'

const ROOT = '.sluice/test-stack'
const BROKERS = 'SLUICE_TEST_BROKERS'
const REGISTRY = 'SLUICE_TEST_REGISTRY'

/**
 * Runs before all test files (`node --test --test-global-setup=...`): one stack for all of them, which they find in their
 * environment. It is a stack of its own beside a developer's, or the cluster that SLUICE_BROKERS and SLUICE_REGISTRY name.
 */
export async function globalSetup(): Promise<void> {
  const { brokers, registry } = await startStack({ root: ROOT })
  process.env[BROKERS] = brokers.join(',')
  process.env[REGISTRY] = registry
}

/** Runs after all test files. A run that was killed before leaves its stack to the next one, which ends it here. */
export async function globalTeardown(): Promise<void> {
  await eraseStack({ root: ROOT })
  await rm(ROOT, { recursive: true, force: true })
}

/**
 * Where the stack of this run is.
 * @throws {Error} when the run has none
 */
export function sharedStack(): Pick<Stack, 'brokers' | 'registry'> {
  const brokers = process.env[BROKERS]
  const registry = process.env[REGISTRY]
  if (!brokers || !registry) {
    throw new Error('this test needs a stack: run it with --test-global-setup=./test/integration/shared-stack.ts')
  }
  return { brokers: brokers.split(','), registry }
}

/** Process id of its broker; null where that is none of this machine, or not ours. */
export async function sharedBroker(): Promise<number | null> {
  const { servers } = await stackStatus({ root: ROOT })
  return servers.find(({ server }) => server === 'kafka')?.pid ?? null
}
