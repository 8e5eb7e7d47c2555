import { randomInt } from 'node:crypto'
import { existsSync, readdirSync, statSync } from 'node:fs'

/** What keeps a scanner apart from the rest of the machine, beyond what Node does by itself. */
export type Isolation = {
  /** each scanner runs as a user of its own, which owns nothing */
  uid: boolean
  /** no network, not even the loopback */
  network: boolean
  /** a limit that the kernel enforces on all memory, not only on the JavaScript heap */
  memory: boolean
  /** what stands in the way of the rest; null when nothing does */
  why: string | null
}

/** A way to start a scanner. */
export type Launcher = {
  isolation: Isolation
  /** @returns a command that sets the limits and then becomes `command`: same process id, same pipes */
  wrap(command: readonly string[]): string[]
}

/** Users that no distribution hands out (60706 to 61183, by systemd's table of them); another one each time, whom no process runs as. */
const firstUser = 60_706
const users = 478
/** Most processes and threads of one such user: a scanner has about twelve. */
const threads = 64
/**
 * Memory that a process maps before it does anything, and does not use: stacks, and what V8 keeps ready. The kernel counts
 * it, so the limit that it enforces lies that much above the one that is watched.
 */
const mappedButUnused = 1024 ** 3

type Tool = 'prlimit' | 'setpriv' | 'unshare'

/**
 * Ways to start a scanner on this machine, the best first, the last one without any help. Which of them work is found out by
 * trying. The tools are those of util-linux; the limits hold for whatever runs in the process, decoders included.
 * @param memoryBytes most resident memory of a scanner
 */
export function launchers(memoryBytes: number): Launcher[] {
  if (process.platform !== 'linux') {
    return [plain('only Linux keeps scanners from the network, from other processes and to a limit of memory')]
  }
  const isRoot = process.getuid?.() === 0
  const found = { prlimit: find('prlimit'), setpriv: find('setpriv'), unshare: find('unshare') }
  const missing = Object.entries(found).flatMap(([tool, path]) => (path === null ? [tool] : []))
  const ways = [
    { uid: true, network: true },
    { uid: true, network: false },
    { uid: false, network: true },
    { uid: false, network: false },
  ].filter(({ uid, network }) => {
    return (!uid || (isRoot && found.setpriv !== null)) && (!network || found.unshare !== null)
  })
  let turn = randomInt(users)

  function nextUser(): number {
    const atWork = usersAtWork()
    for (let tried = 0; ; tried++) {
      const user = firstUser + (turn++ % users)
      // More than there are users do not run on one machine.
      if (!atWork.has(user) || tried === users) return user
    }
  }

  function launcher({ uid, network }: { uid: boolean; network: boolean }): Launcher {
    const memory = found.prlimit !== null
    const reasons = [
      ...(missing.length > 0 ? [`util-linux's ${missing.join(', ')} can not be found`] : []),
      ...(uid || found.setpriv === null ? [] : [isRoot ? noOtherUser : 'another user for each scanner takes root']),
      ...(network || found.unshare === null ? [] : ['this machine allows no namespaces without network']),
    ]
    return {
      isolation: { uid, network, memory, why: reasons.length === 0 ? null : reasons.join('; ') },
      wrap(command) {
        return [
          ...(found.prlimit === null ? [] : [found.prlimit, ...limits(memoryBytes, uid), '--']),
          // A user namespace can be had without root, takes no rights from the files and gives none; whoever is in it can't trace others.
          ...(network && found.unshare !== null
            ? [found.unshare, ...(isRoot ? [] : ['--user']), '--net', '--ipc', '--']
            : []),
          ...(found.setpriv === null
            ? []
            : [
                found.setpriv,
                '--no-new-privs',
                '--pdeathsig=KILL',
                ...privileges(isRoot, uid ? nextUser() : null),
                '--',
              ]),
          ...command,
        ]
      },
    }
  }

  return [...ways.map(launcher), plain('no launcher of util-linux works here')]
}

const noOtherUser = 'other users can not run this checkout, or this root may not become another user'

function limits(memoryBytes: number, uid: boolean): string[] {
  return [
    `--data=${memoryBytes + mappedButUnused}`,
    // No files, no dumps of what was in memory, and no more of anything than decoding takes.
    '--fsize=0',
    '--core=0',
    '--nofile=128',
    // The kernel counts by user: those of the gate's own user are not only scanners.
    ...(uid ? [`--nproc=${threads}`] : []),
  ]
}

function privileges(isRoot: boolean, user: number | null): string[] {
  if (user !== null) return [`--reuid=${user}`, `--regid=${user}`, '--clear-groups', '--inh-caps=-all']
  return isRoot ? ['--clear-groups', '--inh-caps=-all', '--bounding-set=-all'] : []
}

/** Whom processes of this machine run as, scanners of other gates included. */
function usersAtWork(): Set<number> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  // A process may be gone by now.
  return new Set(pids.flatMap((pid) => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? []))
}

function plain(why: string): Launcher {
  return { isolation: { uid: false, network: false, memory: false, why }, wrap: (command) => [...command] }
}

/** Not by PATH: what stands there first need not be the system's. */
function find(tool: Tool): string | null {
  return ['/usr/bin', '/bin', '/usr/sbin', '/sbin'].map((folder) => `${folder}/${tool}`).find(existsSync) ?? null
}
