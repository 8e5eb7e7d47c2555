import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { readyMessage } from '../../services/gate/inspect/answer.ts'

// A scanner as it might be after a payload has taken it over: the payload names what it does.

const signal = { signal: 'pdq', version: 1, value: Buffer.alloc(32), quality: 50, frame: 0, transform: 'identity' }
const fine = { mediaType: 'image/png', fingerprint: [signal], faults: [] }

/** Names what this process can do that a scanner should not. */
function rights(): string {
  const attempts: Record<string, () => unknown> = {
    read: () => readFileSync('/etc/hostname'),
    write: () => writeFileSync('taken-over.txt', ''),
    run: () => spawnSync('true'),
  }
  const can = Object.entries(attempts).filter(([, attempt]) => {
    try {
      attempt()
      return true
    } catch {
      return false
    }
  })
  return ['can', ...can.map(([name]) => name), ...Object.keys(process.env).sort()].join('.')
}

const behaviours: Record<string, (id: number) => unknown> = {
  fine: (id) => ({ id, inspection: fine }),
  'wrong id': (id) => ({ id: id + 1, inspection: fine }),
  'no object': () => 'clean',
  'nothing seen': (id) => ({ id, inspection: { ...fine, fingerprint: [] } }),
  'unknown signal': (id) => ({ id, inspection: { ...fine, fingerprint: [{ ...signal, signal: 'md5' }] } }),
  'short hash': (id) => ({ id, inspection: { ...fine, fingerprint: [{ ...signal, value: Buffer.alloc(31) }] } }),
  'high quality': (id) => ({ id, inspection: { ...fine, fingerprint: [{ ...signal, quality: 101 }] } }),
  'late frame': (id) => ({ id, inspection: { ...fine, fingerprint: [signal, { ...signal, frame: 99 }] } }),
  'unknown fault': (id) => ({ id, inspection: { ...fine, faults: ['KNOWN_EXACT'] } }),
  'odd transform': (id) => ({ id, inspection: { ...fine, fingerprint: [{ ...signal, transform: 'upside down' }] } }),
  flood: (id) => ({ id, inspection: { ...fine, fingerprint: Array.from({ length: 10_000 }, () => signal) } }),
  rights: (id) => ({ id, inspection: { mediaType: `x/${rights()}`, fingerprint: [], faults: ['MEDIA_UNSUPPORTED'] } }),
  crash: () => process.kill(process.pid, 'SIGKILL'),
  hang: () => {
    for (;;);
  },
}

process.on('message', (message: { id: number; payload: Uint8Array }) => {
  const behave = behaviours[Buffer.from(message.payload).toString()]
  process.send?.(behave?.(message.id))
})
process.on('disconnect', () => process.exit())
process.send?.(readyMessage)
