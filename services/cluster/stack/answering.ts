import { SluiceError } from '../../domain/errors.ts'
import { askRegistry } from '../../platform/ask-registry.ts'
import { createKafka } from '../../platform/kafka/client.ts'
import type { Settings } from '../../platform/settings.ts'
import type { ServerName } from './provider.ts'

const PATIENCE_MS = 5000
const OK = 200

/** Whether each server answers, by its own protocol: an open port alone means little. */
export const answers: Readonly<Record<ServerName, (settings: Settings) => Promise<boolean>>> = {
  async kafka(settings) {
    const admin = createKafka(settings, 'sluice-stack', undefined, { retries: 0 }).admin()
    try {
      await admin.connect()
      const { brokers, controller } = await admin.describeCluster()
      return brokers.length > 0 && controller !== null
    } catch {
      return false
    } finally {
      await admin.disconnect()
    }
  },

  async registry(settings) {
    try {
      const { status } = await askRegistry(settings, {
        what: 'its subjects',
        path: 'subjects',
        patienceMs: PATIENCE_MS,
      })
      return status === OK
    } catch {
      return false
    }
  },
}

/** What is said when a server does not answer. */
export function unreachable(server: ServerName, detail: string): SluiceError {
  return server === 'kafka'
    ? new SluiceError('BROKER_UNREACHABLE', `Kafka ${detail}`)
    : new SluiceError('REGISTRY_UNREACHABLE', `the schema registry ${detail}`)
}
