import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SluiceError } from '../../domain/errors.ts'
import { DATA_FOLDER } from '../../platform/settings.ts'
import { createExternalProvider } from './external.ts'
import { missingForJvm } from './java.ts'
import { createJvmRunner } from './jvm.ts'
import { createLocalProvider, type LocalOptions } from './local.ts'
import type { ServerName, Stack, StackProvider, StackStatus } from './provider.ts'
import { readState, type State } from './state-file.ts'

/** What a local stack can run in; `auto`: Java where there is one, else containers. */
export const providerChoices = ['auto', 'jvm', 'containers'] as const
export type ProviderChoice = (typeof providerChoices)[number]

export type StackOptions = {
  /** Folder for the data, the logs and `stack.json`; default: `.sluice` in the working folder */
  root?: string
  /** default: `auto` */
  provider?: ProviderChoice
  /** default: a free port */
  kafkaPort?: number
  /** default: a free port */
  registryPort?: number
  /** Where SLUICE_BROKERS and SLUICE_REGISTRY may name a cluster of one's own; default: this process's */
  environment?: NodeJS.ProcessEnv
}

type LocalKind = State['provider']

/** Starts the stack, or what of it does not run; see {@link StackProvider.up}. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const external = externalOf(options)
  if (external !== null) return await external.up()
  const known = readState(placesOf(options).stateFile)?.provider
  const { provider = 'auto' } = options
  if (known !== undefined && provider !== 'auto' && provider !== known) {
    throw new SluiceError('USAGE', `the stack already runs as ${known}, not ${provider}: \`sluice stack down\` first`)
  }
  const kind = provider === 'auto' ? (known ?? (await bestKind())) : provider
  return await (await localOf(kind, options)).up()
}

/**
 * Stops the stack, or only some of its servers: those come back under their old address with the next start.
 */
export async function stopStack(options: StackOptions & { only?: readonly ServerName[] } = {}): Promise<void> {
  for (const provider of await providersOf(options)) await provider.down(options.only)
}

/** Stops the stack and deletes its data. */
export async function eraseStack(options: StackOptions = {}): Promise<void> {
  const providers = await providersOf(options)
  // All are down before the folder goes by which they are found.
  for (const provider of providers) await provider.down()
  for (const provider of providers) await provider.erase()
}

/** What runs. Never throws because something is down. */
export async function stackStatus(options: StackOptions = {}): Promise<StackStatus> {
  const external = externalOf(options)
  if (external !== null) return await external.status()
  const known = readState(placesOf(options).stateFile)?.provider
  return await (await localOf(known ?? 'jvm', options)).status()
}

function externalOf(options: StackOptions): StackProvider | null {
  const environment = options.environment ?? process.env
  return environment.SLUICE_BROKERS || environment.SLUICE_REGISTRY ? createExternalProvider(environment) : null
}

/** Everything that may hold servers of this stack: also when a start was killed, or the state file is lost. */
async function providersOf(options: StackOptions): Promise<StackProvider[]> {
  const external = externalOf(options)
  if (external !== null) return [external]
  const kinds: LocalKind[] = existsSync(placesOf(options).containers) ? ['containers', 'jvm'] : ['jvm']
  return await Promise.all(kinds.map((kind) => localOf(kind, options)))
}

async function localOf(kind: LocalKind, options: StackOptions): Promise<StackProvider> {
  const { stateFile, folder, users, containers } = placesOf(options)
  const local: LocalOptions = {
    stateFile,
    folder,
    users,
    kafkaPort: options.kafkaPort ?? null,
    registryPort: options.registryPort ?? null,
  }
  if (kind === 'jvm') return createLocalProvider(local, createJvmRunner(folder, users))
  // Only here, because what it stands on takes long to load.
  const { createContainersRunner } = await import('./containers.ts')
  return createLocalProvider(local, await createContainersRunner(containers, users))
}

async function bestKind(): Promise<LocalKind> {
  const missing = missingForJvm()
  if (missing === null) return 'jvm'
  const { findEngine } = await import('./docker.ts')
  if ((await findEngine()) !== null) return 'containers'
  throw new SluiceError(
    'INSTALL_MISSING',
    `the local stack runs on Java or in Docker, and there is neither: ${missing}, and no Docker engine answers. ` +
      'Run `infra/setup.sh`, which installs Java, or start Docker',
  )
}

function placesOf(options: StackOptions): Record<'stateFile' | 'folder' | 'users' | 'containers', string> {
  const root = resolve(options.root ?? DATA_FOLDER)
  const folder = join(root, 'stack')
  return {
    stateFile: join(root, 'stack.json'),
    folder,
    users: join(folder, 'users'),
    containers: join(folder, 'containers'),
  }
}
