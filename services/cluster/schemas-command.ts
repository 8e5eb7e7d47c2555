import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { topicSchemas } from '../domain/topics.ts'
import { codeOf } from '../platform/error-code.ts'
import { withProgress } from '../platform/progress.ts'
import { readSettings, type Settings } from '../platform/settings.ts'
import { writeDurably } from '../platform/write-durably.ts'
import { problemsWithRegistered, registerSchemas } from './registered-schemas.ts'
import { problemsOfFiles } from './schema-files.ts'
import { exportSchemas } from './schemas-export.ts'
import { readSchemasFile, schemasFileText } from './schemas-file.ts'
import { compareSchemas, restoreSchemas } from './schemas-restore.ts'

// A file format in the held store, not the value of a topic.
const files = [...new Set<string>(Object.values(topicSchemas)), 'held-original']
const STDOUT = '-'

/** `sluice schemas check|register|export|restore`. */
export function schemasCommand(): Command {
  const schemas = new Command('schemas')
    .summary('check the schemas, register, export and restore them')
    .description('The Avro schemas of all topics, in schemas/.')
    .addHelpText('after', '\nExample:\n  sluice schemas register')

  schemas
    .command('check')
    .description('check that every schema is Avro and that shared types are the same in all; exit code 1 when not')
    .option('--registry', 'check also that each can read, and be read by, every version that is registered')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice schemas check --registry')
    .action(async ({ registry, json }: { registry?: true; json?: true }) => {
      const problems = problemsOfFiles(files)
      if (registry && problems.length === 0) {
        const settings = readSettings()
        problems.push(...(await withProgress('asking the registry', () => problemsWithRegistered(settings))))
      }
      const summary = problems.length === 0 ? `${files.length} schemas are right` : problems.join('\n')
      process.stdout.write(json ? `${JSON.stringify({ schemas: files.length, problems })}\n` : `${summary}\n`)
      if (problems.length > 0) process.exitCode = 1
    })

  schemas
    .command('register')
    .description('register the schema of every topic, compatibility FULL_TRANSITIVE; a second time does nothing')
    .option('--json', 'print one JSON array')
    .addHelpText('after', '\nExample:\n  sluice schemas register --json')
    .action(async ({ json }: { json?: true }) => {
      const registered = await withProgress('registering the schemas', () => registerSchemas(readSettings()))
      const lines = registered.map(({ subject, id }) => `${subject}  id ${id}`)
      process.stdout.write(json ? `${JSON.stringify(registered)}\n` : `${lines.join('\n')}\n`)
    })

  schemas
    .command('export <file>')
    .summary('write a file from which a lost registry can be restored')
    .description(
      'Writes every registered version of our subjects with its id to FILE, or to stdout where that is `-`. Export again whenever something was registered, ' +
        'and keep it elsewhere than the registry. A FILE that is there is replaced only where the registry still has all that is in it.',
    )
    .option('--json', 'print one JSON object, unless the export itself is printed')
    .addHelpText('after', '\nExample:\n  sluice schemas export backup/schemas.json')
    .action(async (file: string, { json }: { json?: true }) => {
      const settings = readSettings()
      const exported = await withProgress('exporting the schemas', async () => {
        if (file !== STDOUT) await assertReplaceable(settings, file)
        return await exportSchemas(settings)
      })
      if (file === STDOUT) {
        process.stdout.write(schemasFileText(exported))
        return
      }
      await writeDurably(file, schemasFileText(exported)).catch((cause: unknown) => {
        throw new SluiceError('CONFIG_INVALID', `${file} can not be written: ${codeOf(cause)}`, { cause })
      })
      const subjects = exported.subjects.length
      const versions = exported.subjects.reduce((sum, each) => sum + each.versions.length, 0)
      const summary = `${file}: ${versions} versions of ${subjects} subjects`
      process.stdout.write(json ? `${JSON.stringify({ file, subjects, versions })}\n` : `${summary}\n`)
    })

  schemas
    .command('restore <file>')
    .summary('give a registry that lost them the schemas of an export, under the same ids')
    .description(
      'Registers what FILE, an export, has and the registry lacks, under the ids that the records on the topics bear. A second time does nothing. Where the registry ' +
        'has anything else in their place, nothing is written; exit code 1. Gates that wait for it go on by themselves.',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice schemas restore backup/schemas.json')
    .action(async (file: string, { json }: { json?: true }) => {
      const settings = readSettings()
      const exported = await readSchemasFile(file)
      if (exported === null) throw new SluiceError('USAGE', `there is no file ${file}: expected an export of schemas`)
      const done = await withProgress('restoring the schemas', () => restoreSchemas(settings, exported))
      const summary =
        done.restored + done.compatibilities === 0
          ? `the registry has all ${done.versions} versions of ${done.subjects} subjects`
          : `restored ${done.restored} of ${done.versions} versions of ${done.subjects} subjects, and ${done.compatibilities} settings of compatibility`
      process.stdout.write(json ? `${JSON.stringify(done)}\n` : `${summary}\n`)
    })

  return schemas
}

/**
 * A registry that has lost its schemas must not take the export with it from which it could be restored.
 * @throws {SluiceError} SCHEMA_IDS_CHANGED when the registry no longer has what is in the file; CONFIG_INVALID when it is something else
 */
async function assertReplaceable(settings: Settings, file: string): Promise<void> {
  const before = await readSchemasFile(file)
  if (before === null) return
  if (before.prefix !== settings.prefix) {
    const told = `${file} is the export of the prefix "${before.prefix}", and SLUICE_PREFIX is "${settings.prefix}"`
    throw new SluiceError('CONFIG_INVALID', `${told}: name another file`)
  }
  const { missing, conflicts } = await compareSchemas(settings, before)
  const [lost] = missing.map(({ subject, version }) => `it lacks version ${version} of ${subject}`)
  const why = conflicts[0] ?? lost
  if (why === undefined) return
  throw new SluiceError(
    'SCHEMA_IDS_CHANGED',
    `the schema registry no longer has what ${file} says: ${why}. That file is left as it was: \`sluice schemas restore\` it, or export to another one`,
  )
}
