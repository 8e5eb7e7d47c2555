import { z } from 'zod'
import { parseCheckedYaml } from '../../domain/checked-yaml.ts'
import { type Principal, principals } from '../../domain/principals.ts'
import { topics } from '../../domain/topics.ts'
import { mostOf } from './never.ts'

const topicNames = z.array(z.enum(topics, { error: `expected one of ${topics.join(', ')}` })).default([])
const name = z
  .string()
  .regex(/^[A-Za-z0-9._-]+\*?$/, 'expected a name, or how names begin and then `*`; `*` alone would be everything')
const names = z.array(name).default([])

/** What one principal may do. Without the prefix; groups and transactional ids may end in `*`. */
const allowed = z
  .strictObject({
    super: z.boolean().default(false),
    read: topicNames,
    write: topicNames,
    settings: topicNames,
    groups: names,
    transactions: names,
  })
  .refine(({ super: isSuper, ...rights }) => !isSuper || Object.values(rights).every((each) => each.length === 0), {
    path: ['super'],
    message: 'a super user may do everything: expected no rights beside it',
  })
export type Allowed = z.infer<typeof allowed>

const accessFile = z.strictObject({
  version: z.literal(1),
  principals: z.record(z.enum(principals), allowed).superRefine((all, context) => {
    for (const principal of principals) {
      for (const { path, message } of beyondBounds(principal, all[principal])) {
        context.addIssue({ code: 'custom', path: [principal, ...path], message })
      }
    }
  }),
})

/** `infra/access.yaml`, checked. */
export type AccessFile = z.infer<typeof accessFile>

/** @throws {SluiceError} CONFIG_INVALID naming file, line, field and what was expected */
export function parseAccessFile(text: string, fileName: string): AccessFile {
  return parseCheckedYaml(text, fileName, accessFile, 'CONFIG_INVALID')
}

function beyondBounds(principal: Principal, rights: Allowed): Array<{ path: Array<string | number>; message: string }> {
  const bounds = mostOf(principal)
  if (rights.super) {
    return principal === 'admin' ? [] : [{ path: ['super'], message: 'nobody but admin can be a super user' }]
  }
  return [
    ...(['read', 'write'] as const).flatMap((act) =>
      rights[act].flatMap((topic, index) => {
        const most = bounds[act]
        const message = `${principal} can never be allowed to ${act} ${topic}; expected ${most.join(', ') || 'none'}`
        return most.includes(topic) ? [] : [{ path: [act, index], message }]
      }),
    ),
    ...(['groups', 'transactions'] as const)
      .filter((what) => !bounds[what] && rights[what].length > 0)
      .map((what) => ({ path: [what], message: `${principal} can never have any; expected none` })),
  ]
}
