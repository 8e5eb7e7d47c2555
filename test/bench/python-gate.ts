import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { withProgress } from '../../services/platform/progress.ts'
import { loginOf } from '../foreign/foreign.ts'
import { knownHashes, type Pictures, type Round } from './gate-items.ts'
import { followRound, type GatePlace } from './gate-run.ts'
import { preparePeers, startPeer } from './peers/peer.ts'

/** Ways of the gate in Python. The first one hashes as the gate does, and is what the gate is measured against. */
export const pythonWays = ['full', 'shrunk'] as const
export type PythonWay = (typeof pythonWays)[number]
export const pythonNames: Readonly<Record<PythonWay, string>> = {
  full: 'in Python',
  shrunk: 'in Python, pictures shrunk first: other hashes',
}

export type PythonGate = {
  /** @returns items a second, counted as the gate's are, and how many items were held */
  run(round: Round, way: PythonWay): Promise<{ perSecond: number; held: number }>
  close(): Promise<void>
}

const HASH_BYTES = 32
const ready = z.object({ ready: z.literal(true) })
const ran = z.object({ held: z.number() })

/** Starts gates in Python, one a core, that know the same hashes and have read them before anything is measured. */
export async function openPythonGate(place: GatePlace, pictures: Pictures, known: number): Promise<PythonGate> {
  const { bench, admin } = place
  await preparePeers()
  const { prefix, registry } = bench.settings
  const topics = { clean: `${prefix}python-clean`, held: `${prefix}python-held` }
  const names = Object.values(topics)
  await admin.createTopics({ topics: names.map((topic) => ({ topic, numPartitions: bench.partitions })) })
  const file = join(bench.folder, 'known')
  await writeFile(file, packed(pictures, known))
  const peers = Array.from({ length: availableParallelism() }, () => startPeer('gate.py'))
  await withProgress('the gates in Python read their list', () =>
    Promise.all(peers.map((peer) => peer.ask({ known: file }, ready))),
  )
  let runs = 0

  async function run(round: Round, way: PythonWay): Promise<{ perSecond: number; held: number }> {
    const group = `${bench.group}-python-${runs++}`
    const brokers = bench.settings.brokers.join()
    const login = loginOf(bench.settings)
    const asked = {
      brokers,
      login,
      registry,
      topic: bench.topic('crawl.items'),
      group,
      ...topics,
      shrink: way === 'shrunk',
    }
    let failure: unknown = null
    const answers = Promise.all(
      peers.map((peer, at) => {
        const places = round.places.filter(({ partition }) => partition % peers.length === at)
        return peer.ask({ ...asked, places }, ran)
      }),
    )
    answers.catch((error: unknown) => {
      failure = error
    })
    const assertGoesOn = (): void => {
      if (failure !== null) throw failure
    }
    const { items, seconds } = await followRound(place, group, round, assertGoesOn, () => Promise.resolve())
    return { perSecond: items / seconds, held: (await answers).reduce((sum, { held }) => sum + held, 0) }
  }

  return {
    run,
    async close() {
      await Promise.all(peers.map((peer) => peer.end()))
      await admin.deleteTopics({ topics: names })
    },
  }
}

function packed(pictures: Pictures, known: number): Buffer {
  const hashes = Buffer.alloc(known * HASH_BYTES)
  let at = 0
  for (const hex of knownHashes(pictures, known)) at += hashes.write(hex, at, 'hex')
  return hashes
}
