import { readSettings } from '../../platform/settings.ts'
import { answers, unreachable } from './answering.ts'
import { type ServerStatus, type StackProvider, serverNames } from './provider.ts'

/** A cluster of the user's own, by address: it is only asked whether it answers. */
export function createExternalProvider(environment: NodeJS.ProcessEnv): StackProvider {
  const settings = readSettings(environment)
  const addresses = { kafka: settings.brokers.join(','), registry: settings.registry }

  return {
    async up() {
      for (const server of serverNames) {
        if (!(await answers[server](settings))) {
          throw unreachable(
            server,
            `at ${addresses[server]} does not answer; its address and credentials come from SLUICE_*`,
          )
        }
      }
      return { provider: 'external', brokers: settings.brokers, registry: settings.registry, users: null }
    },

    // Not ours to stop.
    async down() {},
    async erase() {},

    async status() {
      const servers = await Promise.all(
        serverNames.map(async (server): Promise<ServerStatus> => {
          const state = (await answers[server](settings)) ? 'up' : 'down'
          return { server, state, pid: null, address: addresses[server] }
        }),
      )
      return { provider: 'external', up: servers.every(({ state }) => state === 'up'), servers }
    },
  }
}
