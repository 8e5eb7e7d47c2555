import { existsSync, readdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive } from '../../services/cluster/stack/owned-process.ts'
import type { Stack } from '../../services/cluster/stack/provider.ts'
import { eraseStack, stackStatus, startStack } from '../../services/cluster/stack/stack.ts'
import { readSettings, type Settings } from '../../services/platform/settings.ts'

/** Below it, each run has a stack of its own that is named by its process: several may go on in one checkout. */
const ROOTS = '.sluice/test-stacks'
const ROOT = 'SLUICE_TEST_STACK'
const BROKERS = 'SLUICE_TEST_BROKERS'
const REGISTRY = 'SLUICE_TEST_REGISTRY'
const USERS = 'SLUICE_TEST_USERS'

/**
 * Runs before all test files (`node --test --test-global-setup=...`): one stack for all of them, which they find in their
 * environment. It is a stack of its own beside a developer's, or the cluster that SLUICE_BROKERS and SLUICE_REGISTRY name.
 */
export async function globalSetup(): Promise<void> {
  await eraseOrphans()
  const root = join(ROOTS, String(process.pid))
  process.env[ROOT] = root
  shareStack(await startStack({ root }))
}

/** What a run that was killed has left behind. */
async function eraseOrphans(): Promise<void> {
  if (!existsSync(ROOTS)) return
  const orphans = readdirSync(ROOTS).filter((name) => !isAlive(Number(name)))
  await Promise.all(orphans.map((name) => erase(join(ROOTS, name))))
}

async function erase(root: string): Promise<void> {
  await eraseStack({ root })
  await rm(root, { recursive: true, force: true })
}

/** Has this process, and what it starts, find a stack. */
function shareStack({ brokers, registry, users }: SharedStack): void {
  process.env[BROKERS] = brokers.join(',')
  process.env[REGISTRY] = registry
  if (users !== null) process.env[USERS] = users
}

/** Where a stack is, and where its users are; null where it asks nobody. */
export type SharedStack = Pick<Stack, 'brokers' | 'registry' | 'users'>

/** Runs after all test files. */
export async function globalTeardown(): Promise<void> {
  const root = process.env[ROOT]
  if (root !== undefined) await erase(root)
}

/**
 * Where the stack of this run is.
 * @throws {Error} when the run has none
 */
export function sharedStack(): SharedStack {
  const brokers = process.env[BROKERS]
  const registry = process.env[REGISTRY]
  if (!brokers || !registry) {
    throw new Error('this test needs a stack: run it with --test-global-setup=./test/integration/shared-stack.ts')
  }
  return { brokers: brokers.split(','), registry, users: process.env[USERS] ?? null }
}

/** Settings of a command on a stack; who it comes as is its own affair. */
export function environmentOf({ brokers, registry, users }: SharedStack) {
  return {
    SLUICE_BROKERS: brokers.join(','),
    SLUICE_REGISTRY: registry,
    ...(users === null ? {} : { SLUICE_KAFKA_USERS: users }),
  }
}

/** Settings of the super user on a stack. @param more takes the place of what is usual */
export function adminSettings(stack: SharedStack, more: Readonly<Record<string, string>> = {}): Settings {
  return readSettings({ ...environmentOf(stack), SLUICE_PRINCIPAL: 'admin', ...more })
}

/** Process id of its broker; null where that is none of this machine, or not ours. */
export async function sharedBroker(): Promise<number | null> {
  const root = process.env[ROOT]
  if (root === undefined) return null
  const { servers } = await stackStatus({ root })
  return servers.find(({ server }) => server === 'kafka')?.pid ?? null
}
