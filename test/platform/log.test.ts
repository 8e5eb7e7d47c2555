import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'node:test'

const logger = join(import.meta.dirname, '../../services/platform/log.ts')

test('content that somebody passes to the logger by mistake does not get out', () => {
  const program = `
    import { createLog } from ${JSON.stringify(logger)}
    const log = createLog('info')
    const secret = 'SECRET'
    log.info({ event: 'x', envelope: { a: secret }, value: secret, item: { payload: secret, url: secret } })
    log.info({ event: 'y', err: Object.assign(new Error('broken', { cause: new Error('deeper') }), { code: 'C', body: secret }) })
  `
  const { stderr } = run(program)
  assert.doesNotMatch(stderr, /SECRET/)
  assert.match(stderr, /"event":"x"/)
  assert.match(stderr, /"code":"C","message":"broken","cause":\{"name":"Error","message":"deeper"\}/)
})

function run(program: string): { stderr: string } {
  const stderr = execFileSync('sh', ['-c', '"$0" --input-type=module -e "$1" 2>&1', process.execPath, program])
  return { stderr: stderr.toString() }
}
