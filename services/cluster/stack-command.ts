import { Command, InvalidArgumentError, Option } from 'commander'
import { withProgress } from '../platform/progress.ts'
import { eraseStack, type ProviderChoice, providerChoices, stackStatus, startStack, stopStack } from './stack/stack.ts'

type Options = { json?: true }
type UpOptions = Options & { provider: ProviderChoice; kafkaPort?: number; registryPort?: number }

/** `sluice stack up|down|status|erase`. */
export function stackCommand(): Command {
  const stack = new Command('stack')
    .summary('start, stop and look at the local Kafka and schema registry')
    .description(
      'The local stack: one Kafka broker and one schema registry on this machine, on loopback only.\n' +
        'They are Java processes with their data in .sluice/stack, or containers with their data in volumes.\n' +
        'Each command comes with the user and the rights that are its own (infra/access.yaml); SLUICE_PRINCIPAL names another.\n' +
        'Where SLUICE_BROKERS and SLUICE_REGISTRY name a cluster of your own, that is asked instead and never stopped.',
    )
    .addHelpText('after', '\nExample:\n  sluice stack up')

  stack
    .command('up')
    .description('start what does not run yet; done when all answers')
    .addOption(
      new Option('--provider <name>', 'what it runs in; auto: Java where there is one, else Docker')
        .choices(providerChoices)
        .default('auto'),
    )
    .option('--kafka-port <port>', 'port of the broker; default: a free one', parsePort)
    .option('--registry-port <port>', 'port of the registry; default: a free one', parsePort)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice stack up --kafka-port 9092')
    .action(async ({ json, ...options }: UpOptions) => {
      const started = await withProgress('starting Kafka and the schema registry', () => startStack(options))
      const lines = [`Kafka     ${started.brokers.join(',')}`, `registry  ${started.registry}`]
      if (started.users !== null) {
        lines.push(`users     ${started.users}, whose rights \`sluice access apply\` gives`)
      }
      process.stdout.write(json ? `${JSON.stringify(started)}\n` : `${lines.join('\n')}\n`)
    })

  stack
    .command('down')
    .description('end the servers; their data stays')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice stack down')
    .action(async ({ json }: Options) => {
      await withProgress('ending Kafka and the schema registry', () => stopStack())
      const status = await stackStatus()
      const left = status.provider === 'external' ? 'the cluster is your own: nothing was ended' : 'the stack is down'
      process.stdout.write(json ? `${JSON.stringify(status)}\n` : `${left}\n`)
    })

  stack
    .command('status')
    .description('show what runs; exit code 1 when not everything answers')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice stack status --json')
    .action(async ({ json }: Options) => {
      const status = await withProgress('asking Kafka and the schema registry', () => stackStatus())
      const lines = status.servers.map(({ server, state, pid, address }) =>
        [server.padEnd(9), state.padEnd(9), address ?? '', pid === null ? '' : `(process ${pid})`].join(' ').trimEnd(),
      )
      process.stdout.write(json ? `${JSON.stringify(status)}\n` : `${lines.join('\n')}\n`)
      if (!status.up) process.exitCode = 1
    })

  stack
    .command('erase')
    .description('end the servers and delete all their records, schemas and users')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice stack erase')
    .action(async ({ json }: Options) => {
      await withProgress('erasing Kafka and the schema registry', () => eraseStack())
      const status = await stackStatus()
      const left = status.provider === 'external' ? 'the cluster is your own: nothing was erased' : 'the stack is gone'
      process.stdout.write(json ? `${JSON.stringify(status)}\n` : `${left}\n`)
    })

  return stack
}

function parsePort(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('expected a port, 1 to 65535')
  return port
}
