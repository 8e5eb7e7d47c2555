import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { z } from 'zod'

// Tries what machine code in a scanner could try: it runs without Node's permission model, only behind the launcher.

const { port, gate, sibling, files, folder } = z
  .object({ folder: z.string(), port: z.number(), gate: z.number(), sibling: z.number(), files: z.array(z.string()) })
  .parse(JSON.parse(process.argv[2] ?? ''))

function can(attempt: () => unknown): boolean {
  try {
    attempt()
    return true
  } catch {
    return false
  }
}

function canConnect(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy() === socket))
    socket.on('error', () => resolve(false))
  })
}

function grow(): void {
  const taken: Buffer[] = []
  // Not written to: what is asked is whether it would be given, and the machine has others to serve.
  for (let i = 0; i < 32; i++) taken.push(Buffer.alloc(64 * 1024 ** 2))
}

/** Pipes and sockets that were handed down; those that Node makes for itself are none of them. */
function inherited(): string[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd > 2 && can(() => readlinkSync(`/proc/self/fd/${fd}`)))
    .map((fd) => readlinkSync(`/proc/self/fd/${fd}`))
    .filter((target) => !/^(anon_inode:|pipe:|\/dev\/(null|urandom)$|\/proc\/)/.test(target))
}

process.stdout.write(
  JSON.stringify({
    user: process.getuid?.(),
    group: process.getgid?.(),
    groups: process.getgroups?.().filter((group) => group !== process.getgid?.()),
    connects: await canConnect(),
    reads: files.filter((file) => can(() => readFileSync(file))),
    writes: can(() => writeFileSync(`${folder}/probe`, 'x')),
    killsGate: can(() => process.kill(gate, 0)),
    killsSibling: can(() => process.kill(sibling, 0)),
    readsMemoryOf: [gate, sibling].filter((pid) => can(() => readFileSync(`/proc/${pid}/maps`))),
    readsEnvironmentOf: [gate, sibling].filter((pid) => can(() => readFileSync(`/proc/${pid}/environ`))),
    environment: Object.keys(process.env),
    inherited: inherited(),
    grows: can(grow),
  }),
)
