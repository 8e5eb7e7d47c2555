import { userInfo } from 'node:os'
import { Option } from 'commander'
import type { Kafka } from 'kafkajs'
import { SluiceError } from '../domain/errors.ts'
import { LIST_NAME } from '../domain/hash-list.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { createRegistry, type Registry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import type { Store } from '../platform/stores/store.ts'

/** Where hash lists are, for a command. */
export type ListsPlace = { kafka: Kafka; registry: Registry; prefix: string; store: Store }

/** As the settings say. @throws {SluiceError} CONFIG_INVALID */
export async function findListsPlace(): Promise<ListsPlace> {
  const settings = readSettings()
  return {
    kafka: createKafka(settings, 'sluice-lists'),
    registry: createRegistry(settings),
    prefix: settings.prefix,
    store: await openStore(settings, 'lists'),
  }
}

/** @throws {SluiceError} USAGE when a list can't be called that */
export function checkListName(list: string): void {
  if (LIST_NAME.test(list)) return
  throw new SluiceError(
    'USAGE',
    `${list}: expected a list's name, 1 to 64 of a-z 0-9 . _ - beginning with a letter or digit`,
  )
}

/** Who has a version made, which is kept with it. */
export const whoOption = (): Option =>
  new Option('--who <name>', 'who asks for it; kept with the version').default(userInfo().username)
/** Why a version is made, which is kept with it. */
export const whyOption = (): Option =>
  new Option('--why <text>', 'why; kept with the version, so no URL and nothing about content').makeOptionMandatory()
