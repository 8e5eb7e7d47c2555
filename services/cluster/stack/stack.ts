import { join, resolve } from 'node:path'
import { DATA_FOLDER } from '../../platform/settings.ts'
import { createExternalProvider } from './external.ts'
import { createJvmProvider } from './jvm.ts'
import type { ServerName, Stack, StackProvider, StackStatus } from './provider.ts'

export type StackOptions = {
  /** Folder for the data, the logs and `stack.json`; default: `.sluice` in the working folder */
  root?: string
  /** default: a free port */
  kafkaPort?: number
  /** default: a free port */
  registryPort?: number
  /** Where SLUICE_BROKERS and SLUICE_REGISTRY may name a cluster of one's own; default: this process's */
  environment?: NodeJS.ProcessEnv
}

function providerFor(options: StackOptions): StackProvider {
  const environment = options.environment ?? process.env
  if (environment.SLUICE_BROKERS || environment.SLUICE_REGISTRY) return createExternalProvider(environment)
  const root = resolve(options.root ?? DATA_FOLDER)
  return createJvmProvider({
    stateFile: join(root, 'stack.json'),
    folder: join(root, 'stack'),
    kafkaPort: options.kafkaPort ?? null,
    registryPort: options.registryPort ?? null,
  })
}

/** Starts the stack, or what of it does not run; see {@link StackProvider.up}. */
export function startStack(options: StackOptions = {}): Promise<Stack> {
  return providerFor(options).up()
}

/**
 * Stops the stack, or only some of its servers: those come back under their old address with the next start.
 */
export function stopStack(options: StackOptions & { only?: readonly ServerName[] } = {}): Promise<void> {
  return providerFor(options).down(options.only)
}

/** What runs. Never throws because something is down. */
export function stackStatus(options: StackOptions = {}): Promise<StackStatus> {
  return providerFor(options).status()
}
