import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answers } from '../../../services/cluster/stack/answering.ts'
import { freePorts } from '../../../services/cluster/stack/free-port.ts'
import { javaCommand } from '../../../services/cluster/stack/java.ts'
import { endMarked, markOf, startDetached } from '../../../services/cluster/stack/owned-process.ts'
import { servers } from '../../../services/cluster/stack/servers.ts'
import { usersOf } from '../../../services/cluster/stack/users.ts'
import type { Principal } from '../../../services/domain/principals.ts'
import { readSettings, type Settings, type Tls } from '../../../services/platform/settings.ts'
import type { Scope } from '../../integration/harness.ts'
import { endWithThisProcess } from '../../integration/leftovers.ts'
import { waitFor } from '../../integration/waiting.ts'

/** A broker of a test's own that asks who comes, so that rights can be given and taken that would disturb others. */
export type SecuredBroker = {
  address: string
  /** folder with one file a principal */
  users: string
  /** Settings of somebody on it; null: of nobody. */
  settingsOf(who: Principal | null, prefix?: string): Settings
}

/**
 * @param options lines: of its properties file, that win; tls: as the settings of its clients have it
 */
export async function openSecuredBroker(
  t: Pick<Scope, 'after'>,
  { lines = '', tls = false }: { lines?: string; tls?: Tls } = {},
): Promise<SecuredBroker> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-secured-'))
  const [mark, preparing] = [markOf(folder, 'broker'), markOf(folder, 'prepare')]
  const ports = await freePorts()
  const address = `127.0.0.1:${ports.kafka}`
  const usersFolder = join(folder, 'users')
  const users = usersOf(usersFolder)
  const home = join(folder, 'kafka')
  mkdirSync(home)

  function settingsOf(who: Principal | null, prefix = ''): Settings {
    const nobody = {
      ...readSettings({ SLUICE_BROKERS: address, SLUICE_REGISTRY: 'http://127.0.0.1:1', SLUICE_PREFIX: prefix }),
      tls,
    }
    if (who === null) return nobody
    return { ...nobody, sasl: { mechanism: 'scram-sha-512', username: who, password: users.get(who) ?? '' } }
  }

  async function end(): Promise<void> {
    await Promise.all([endMarked(preparing, 0), endMarked(mark, 0)])
    rmSync(folder, { recursive: true, force: true })
  }
  const forget = endWithThisProcess(() => void end())
  t.after(async () => {
    forget()
    await end()
  })
  await servers.kafka.prepare(home, ports, preparing, { users, settings: lines })
  startDetached(javaCommand(), [mark, ...servers.kafka.words(ports)], home, join(home, 'console.log'))
  await waitFor('the broker answers', () => answers.kafka(settingsOf('admin')))
  return { address, users: usersFolder, settingsOf }
}
