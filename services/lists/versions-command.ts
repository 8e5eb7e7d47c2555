import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import type { HashListManifest } from '../domain/records.ts'
import { openLists } from '../platform/kafka/open-hash-lists.ts'
import { asTable } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import { noteVersion } from './import.ts'
import { checkListName, findListsPlace } from './lists-place.ts'

type ToldVersion = HashListManifest & { inForce: boolean; kept: boolean }

/** `sluice lists versions`: what can be gone back to. */
export function versionsCommand(): Command {
  return new Command('versions')
    .summary('show all versions of a hash list, how they came about, and whether they can be had again')
    .description(
      'Shows all versions of a hash list, the newest first: how each came about, and whether its entries are kept.',
    )
    .argument('<list>', 'name of the list')
    .option('--json', 'print the versions as one JSON array')
    .addHelpText('after', '\nExample:\n  sluice lists versions stand-in')
    .action(async (list: string, { json }: { json?: true }) => {
      checkListName(list)
      const { store, ...place } = await findListsPlace()
      const manifests = new Map<string, HashListManifest>()
      const lists = await openLists({ ...place, onVersion: (record) => noteVersion(manifests, list, record) })
      const inForce = lists.collector.states().find((state) => state.list === list)?.inForce?.version
      await lists.close()
      if (manifests.size === 0)
        throw new SluiceError('VERSION_MISSING', `there is no list ${list}: see \`sluice lists status\``)
      const told: ToldVersion[] = []
      for (const manifest of [...manifests.values()].toSorted((a, b) => (a.version < b.version ? 1 : -1))) {
        told.push({ ...manifest, inForce: manifest.version === inForce, kept: await store.has(manifest.digest) })
      }
      process.stdout.write(json ? `${JSON.stringify(told)}\n` : `${tableOf(told)}\n`)
    })
}

function tableOf(versions: readonly ToldVersion[]): string {
  const rows = versions.map(({ version, inForce, entries, checkedAt, shadowed, cause, kept }) => [
    `${version}${inForce ? ', in force' : ''}`,
    entries,
    new Date(checkedAt).toISOString(),
    shadowed.length,
    visible([cause?.act, cause?.of].filter((word) => word != null).join(' of ')),
    visible(cause?.who ?? ''),
    visible(cause?.why ?? ''),
    kept ? 'yes' : 'no',
  ])
  return asTable(['version', 'entries', 'checked at', 'shadowed', 'came by', 'who', 'why', 'kept'], rows)
}
