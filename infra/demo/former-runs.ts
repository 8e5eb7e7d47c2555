import { readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Admin, Kafka } from 'kafkajs'
import { z } from 'zod'
import { deleteAcls, readAcls } from '../../services/cluster/access/cluster-acls.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { withAdmin } from '../../services/platform/kafka/client.ts'

/** What a run of the demo leaves behind: topics of its prefix, and its stores. */
export type Run = { prefix: string; stores: string }

const runsFile = z.array(z.object({ prefix: z.string().regex(/^demo-[0-9a-z]+\.$/), stores: z.string() }))
const FILE = 'runs.json'

/** Notes a run, before it makes anything, so that a later one can clear up after it. */
export async function rememberRun(folder: string, run: Run): Promise<void> {
  await writeFile(join(folder, FILE), JSON.stringify([...(await readRuns(folder)), run]))
}

/** Removes topics, consumer groups and stores of former runs: of those that were noted here, no others. */
export async function forgetFormerRuns(folder: string, kafka: Kafka): Promise<void> {
  const runs = await readRuns(folder)
  if (runs.length === 0) return
  const former = (name: string) => runs.some(({ prefix }) => name.startsWith(prefix))
  await withAdmin(kafka, async (admin) => {
    const topics = (await admin.listTopics()).filter(former)
    if (topics.length > 0) await admin.deleteTopics({ topics })
    await forgetRights(admin, former)
    // A broker that has just started may not know its groups yet, and one whose members are still missed can't be deleted: they expire.
    const { groups } = await admin.listGroups().catch(() => ({ groups: [] }))
    const ours = groups.map(({ groupId }) => groupId).filter(former)
    if (ours.length > 0) await admin.deleteGroups(ours).catch(() => undefined)
  })
  for (const { stores } of runs) await rm(join(folder, basename(stores)), { recursive: true, force: true })
  await rm(join(folder, FILE), { force: true })
}

async function forgetRights(admin: Admin, former: (name: string) => boolean): Promise<void> {
  const rights = await readAcls(admin).catch((error: unknown) => {
    // On somebody's own cluster there are none of ours.
    if (error instanceof SluiceError && error.code === 'ACCESS_DENIED') return null
    throw error
  })
  await deleteAcls(admin, rights?.filter(({ name }) => former(name)) ?? [])
}

async function readRuns(folder: string): Promise<Run[]> {
  try {
    return runsFile.parse(JSON.parse(await readFile(join(folder, FILE), 'utf8')))
  } catch {
    return []
  }
}
