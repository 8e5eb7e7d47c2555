import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { askHttp } from '../platform/http.ts'
import { listenAddress } from '../platform/settings.ts'
import { type GateStatus, gateStatus } from './status.ts'
import { statusScreen } from './status-screen.ts'

const PATIENCE_MS = 5000

/** `sluice gate status`: one screen for each gate. Exit code 0 all are ready, 1 one waits, 2 one does not answer. */
export function statusCommand(): Command {
  return new Command('status')
    .summary('what a running gate does, what it waits for, and what to do')
    .description('Shows what running gates do: lanes, lists, what they wait for, since when, and what to do about it.')
    .option('--gate <urls...>', "operations ports of the gates; default: the one of this machine's SLUICE_LISTEN")
    .option('--json', 'print one JSON object for each gate, in an array')
    .addHelpText(
      'after',
      '\nExit code 0 when every gate is ready, 1 when one waits, 2 when one does not answer.\n\nExample:\n  sluice gate status --gate http://gate-1:9464 http://gate-2:9464',
    )
    .action(showStatus)
}

async function showStatus(options: { gate?: string[]; json?: true }): Promise<void> {
  const addresses = (options.gate ?? [ownAddress()]).map(parseAddress)
  const answers = await Promise.allSettled(addresses.map(async (gate) => ({ gate: gate.origin, ...(await ask(gate)) })))
  const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
  if (options.json) process.stdout.write(`${JSON.stringify(found)}\n`)
  else if (found.length > 0)
    process.stdout.write(`${found.map((each) => statusScreen(each.gate, each)).join('\n\n')}\n`)
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
  if (found.some(({ ready }) => !ready)) process.exitCode = 1
}

function ownAddress(): string {
  return listenAddress().replace(/^(0\.0\.0\.0|\[::\]):/, '127.0.0.1:')
}

/** @throws {SluiceError} USAGE */
function parseAddress(text: string): URL {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (url === null || !/^https?:$/.test(url.protocol) || url.port === '0') {
    throw new SluiceError('USAGE', '--gate: expected the address of a gate such as http://127.0.0.1:9464')
  }
  return url
}

/** @throws {SluiceError} USAGE when no gate answers there */
async function ask(gate: URL): Promise<GateStatus> {
  const { body } = await askHttp(new URL('/status', gate), PATIENCE_MS).catch((cause: unknown) => {
    const ask = 'is it running, and is this its SLUICE_LISTEN? Name another with --gate'
    throw new SluiceError('USAGE', `no gate answers at ${gate.origin}: ${ask}`, { cause })
  })
  try {
    return gateStatus.parse(JSON.parse(body))
  } catch (cause) {
    throw new SluiceError('USAGE', `what answers at ${gate.origin} is no gate, or one of another version`, { cause })
  }
}
