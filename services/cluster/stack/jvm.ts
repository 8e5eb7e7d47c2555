import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { assertInstalled, javaCommand } from './java.ts'
import type { Runner } from './local.ts'
import { endMarked, findMarked, markOf, startDetached } from './owned-process.ts'
import { type ServerName, serverNames } from './provider.ts'
import { servers } from './servers.ts'
import { usersOf } from './users.ts'

const STOP_PATIENCE_MS = 20_000

/** One Java process a server. @param users folder */
export function createJvmRunner(folder: string, users: string): Runner {
  const mark = (server: ServerName): string => markOf(folder, server)
  const preparing = markOf(folder, 'prepare')

  return {
    provider: 'jvm',
    host: '127.0.0.1',
    assertInstalled,
    hasData: () => Promise.resolve(existsSync(join(folder, 'kafka', 'data'))),

    running() {
      const found = serverNames.flatMap((server): [ServerName, number][] => {
        const pid = findMarked(mark(server))[0]
        return pid === undefined ? [] : [[server, pid]]
      })
      return Promise.resolve(new Map(found))
    },

    async begin(server, ports) {
      const home = join(folder, server)
      // What lies on the topics is not for everybody on this machine.
      mkdirSync(home, { recursive: true, mode: 0o700 })
      await servers[server].prepare(home, ports, preparing, { users: usersOf(users) })
      const words = [mark(server), ...servers[server].words(ports)]
      startDetached(javaCommand(), words, home, join(home, 'console.log'))
    },

    async end(only) {
      await Promise.all([endMarked(preparing, 0), ...only.map((server) => endMarked(mark(server), STOP_PATIENCE_MS))])
    },

    // It is all in the stack's folder.
    async erase() {},

    log: (server) => join(folder, server, servers[server].log),
  }
}
