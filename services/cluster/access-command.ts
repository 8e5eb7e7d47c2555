import { join } from 'node:path'
import { Command } from 'commander'
import { withProgress } from '../platform/progress.ts'
import { readSettings, readTextFile } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { type Audit, applyAccess, auditAccess, planAccess } from './access/access.ts'
import { type AccessFile, parseAccessFile } from './access/access-file.ts'
import { type Acl, aclText } from './access/acl.ts'
import type { AccessPlan } from './access/compare-acls.ts'
import { strimziUsers } from './access/strimzi.ts'

const shipped = join(import.meta.dirname, '../../infra/access.yaml')

type Options = { file: string; json?: true }

/** `sluice access plan|apply|audit|strimzi`. */
export function accessCommand(): Command {
  const access = new Command('access')
    .summary('give rights on the brokers as infra/access.yaml says, and see who has more')
    .description(
      'Who may do what on the brokers: wanted state in infra/access.yaml, real state on the cluster. What is not in the file is denied.\n' +
        'Only rights of its principals on topics, groups and transactional ids of this prefix are touched.',
    )
    .addHelpText('after', '\nExample:\n  sluice access plan\n  sluice access apply\n  sluice access audit')

  withFile(access.command('plan'))
    .description('show which rights apply would give and take, and change nothing; exit code 1 when there are some')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice access plan --json')
    .action(async ({ file, json }: Options) => {
      const plan = await withProgress('comparing the rights', () => planAccess(readSettings(), readWanted(file)))
      process.stdout.write(json ? `${JSON.stringify(plan)}\n` : planText(plan, ['give', 'take']))
      if (plan.add.length + plan.remove.length > 0) process.exitCode = 1
    })

  withFile(access.command('apply'))
    .description('give what is missing and take what is too much; a second time does nothing')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice access apply')
    .action(async ({ file, json }: Options) => {
      const done = await withProgress('giving the rights', () => applyAccess(readSettings(), readWanted(file)))
      process.stdout.write(json ? `${JSON.stringify(done)}\n` : planText(done, ['given', 'taken']))
    })

  withFile(access.command('audit'))
    .summary('list who could write or read what; exit code 1 when somebody could who should not')
    .description(
      'Lists who could write, read, change or delete each topic, use the groups and transactional ids, and rule the cluster: by whatever right,\n' +
        'however wide (prefixes, `*`, every operation, every user), and by what the brokers tell of their settings. Exit code 1 when\n' +
        'somebody could who should not by the file. Works on any cluster, by anybody who may look at its rights.',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice access audit --json')
    .action(async ({ file, json }: Options) => {
      const audit = await withProgress('looking at the rights', () => auditAccess(readSettings(), readWanted(file)))
      process.stdout.write(json ? `${JSON.stringify(audit)}\n` : auditText(audit))
      if (audit.acts.some(({ unexpected }) => unexpected.length > 0)) process.exitCode = 1
    })

  withFile(access.command('strimzi'))
    .description('print the users with their rights as KafkaUser resources, for a cluster that Strimzi runs')
    .requiredOption('--cluster <name>', 'name of the Kafka resource')
    .addHelpText('after', '\nExample:\n  sluice access strimzi --cluster store | kubectl apply -f -')
    .action(({ file, cluster }: Options & { cluster: string }) => {
      const { prefix } = readSettings({ ...process.env, ...nowhere })
      process.stdout.write(strimziUsers(readWanted(file), prefix, cluster))
    })

  return access
}

/** Nothing is asked: the file alone says it. */
const nowhere = { SLUICE_BROKERS: 'none:1', SLUICE_REGISTRY: 'http://none' }

function withFile(command: Command): Command {
  return command.option('--file <file>', 'wanted state', shipped)
}

function readWanted(file: string): AccessFile {
  return parseAccessFile(readTextFile('CONFIG_INVALID', file), file === shipped ? 'infra/access.yaml' : file)
}

function planText({ add, remove, kept }: AccessPlan, [give, take]: readonly [string, string]): string {
  const row = (what: string) => (acl: Acl) => [what, acl.principal, aclText(acl)]
  const rows = [...add.map(row(give)), ...remove.map(row(take))]
  const rest = `${kept} rights are as they shall be.\n`
  return rows.length === 0 ? rest : `${asTable(['what', 'principal', 'right'], rows)}\n${rest}`
}

function auditText({ acts, unseen }: Audit): string {
  const all = acts.map(({ act, expected, unexpected }) => [
    act,
    expected.map(shortName).join(', '),
    unexpected.map(({ principal, by }) => `${principal}: ${by}`).join('\n'),
  ])
  const count = acts.reduce((sum, { unexpected }) => sum + unexpected.length, 0)
  const nobody =
    unseen.length === 0 ? 'Nobody could who should not.' : 'Nobody could who should not, as far as can be seen.'
  const sum = count === 0 ? nobody : `${count} rights are too much.`
  return `${asTable(['who could', 'and shall', 'and shall not'], all)}\n${[sum, ...unseen].join('\n')}\n`
}

function shortName(principal: string): string {
  return principal.replace(/^User:/, '')
}
