import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { ALL_ENTRIES } from '../domain/hash-list.ts'
import { showProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { importList, type KnownVersions, type NextVersion } from './import.ts'
import { checkListName, findListsPlace, whoOption, whyOption } from './lists-place.ts'
import { type Accepting, acceptedBy, createCheck } from './plan.ts'
import { tellReport } from './tell-report.ts'

type Options = { who: string; why: string; json?: true } & Pick<Accepting, 'acceptFlood'>
type Act = 'shadow' | 'enforce'

/** `sluice lists shadow`: matches of an entry, or of a whole list, are recorded without effect. */
export function shadowCommand(): Command {
  return command('shadow')
    .summary('let an entry, or a whole hash list, hold nothing any more')
    .description(
      'Makes a new version of the list in which an entry, or all of it, is in shadow: matches are recorded without effect. It stays so over imports and ' +
        'syncs, until `sluice lists enforce`.',
    )
    .addHelpText('after', '\nExample:\n  sluice lists shadow stand-in/e17 --why "a plain grey picture"')
}

/** `sluice lists enforce`: takes back what `shadow` has done. */
export function enforceCommand(): Command {
  return command('enforce')
    .summary('take an entry, or a whole hash list, out of shadow')
    .description(
      'Makes a new version of the list in which an entry, or all of it, is out of shadow. Policy may still have the list in shadow.',
    )
    .option('--accept-flood', 'make it also where it would hold more than policy allows; kept with the version')
    .addHelpText('after', '\nExample:\n  sluice lists enforce stand-in/e17 --why "looked at: it is right"')
}

function command(act: Act): Command {
  return new Command(act)
    .argument('<list[/entry]>', 'name of the list, or of the list and an entry of it')
    .addOption(whoOption())
    .addOption(whyOption())
    .option('--json', 'print the result as JSON')
    .action(async (what: string, { who, why, json, ...accepting }: Options) => {
      const [list = '', entry = ALL_ENTRIES, ...rest] = what.split('/')
      checkListName(list)
      if (rest.length > 0 || entry === '') throw new SluiceError('USAGE', `${what}: expected LIST or LIST/ENTRY`)
      const accepted = acceptedBy(accepting)
      let progress = `reading ${list}`
      const check = createCheck(readSettings(), accepted, (text) => {
        progress = text
      })
      const stop = showProgress(() => progress)
      const report = await importList({
        ...(await findListsPlace()),
        list,
        now: Date.now(),
        next: (known) => ({
          ...changed(known, { act, list, entry }),
          cause: { act, who, why, of: entry, accepted },
        }),
        // What holds less needs nobody's word.
        ...(act === 'enforce' ? { check } : {}),
      }).finally(stop)
      tellReport(report, json)
    })
}

function changed(
  { inForce, shadowed: before }: KnownVersions,
  { act, list, entry }: { act: Act; list: string; entry: string },
): Omit<NextVersion, 'cause'> {
  if (inForce === null) {
    throw new SluiceError('VERSION_MISSING', `no version of list ${list} is in force: see \`sluice lists status\``)
  }
  const { entries, checkedAt } = inForce
  const shadowed = new Set(before)
  if (act === 'shadow') {
    if (entry !== ALL_ENTRIES && !hasEntry(inForce, entry)) {
      throw new SluiceError('USAGE', `list ${list} has no entry ${entry} in version ${inForce.version}`)
    }
    shadowed.add(entry)
  } else if (entry === ALL_ENTRIES) {
    shadowed.clear()
  } else if (!shadowed.delete(entry)) {
    const instead = shadowed.has(ALL_ENTRIES) ? `; the whole list is: \`sluice lists enforce ${list}\`` : ''
    throw new SluiceError('USAGE', `entry ${entry} of list ${list} is not in shadow on its own${instead}`)
  }
  return { entries, checkedAt, shadowed: [...shadowed].sort() }
}

function hasEntry({ entries }: NonNullable<KnownVersions['inForce']>, id: string): boolean {
  for (const entry of entries) if (entry.id === id) return true
  return false
}
