import { Command } from 'commander'
import { topicSchemas } from '../domain/topics.ts'
import { withProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { problemsWithRegistered, registerSchemas } from './registered-schemas.ts'
import { problemsOfFiles } from './schema-files.ts'

// A file format in the held store, not the value of a topic.
const files = [...new Set<string>(Object.values(topicSchemas)), 'held-original']

/** `sluice schemas check|register`. */
export function schemasCommand(): Command {
  const schemas = new Command('schemas')
    .summary('check the schemas and register them')
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

  return schemas
}
