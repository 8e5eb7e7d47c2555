import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'node:test'

const logger = join(import.meta.dirname, '../../services/platform/log.ts')
const errors = join(import.meta.dirname, '../../services/domain/errors.ts')

test('content that somebody passes to the logger by mistake does not get out', () => {
  const program = `
    import { createLog } from ${JSON.stringify(logger)}
    import { SluiceError } from ${JSON.stringify(errors)}
    const log = createLog('info')
    const secret = 'SECRET'
    log.info({ event: 'x', envelope: { a: secret }, value: secret, item: { payload: secret, url: secret } })
    const cause = new TypeError('invalid "string": ' + secret)
    log.info({ event: 'z', err: cause })
    log.info({ event: 'y', err: Object.assign(new SluiceError('USAGE', 'broken', { cause }), { body: secret }) })
  `
  const { stderr } = run(program)
  assert.doesNotMatch(stderr, /SECRET/)
  assert.match(stderr, /"event":"x"/)
  assert.match(stderr, /"code":"USAGE","message":"broken","cause":\{"name":"TypeError","at":"at /)
})

function run(program: string): { stderr: string } {
  const stderr = execFileSync('sh', ['-c', '"$0" --input-type=module -e "$1" 2>&1', process.execPath, program])
  return { stderr: stderr.toString() }
}
