import { z } from 'zod'
import type { Settings } from '../platform/settings.ts'
import { answerOf, parsedAnswer, versionsPath } from './registry-answer.ts'
import type { SchemaWay } from './schema-way.ts'
import { readSchema } from './schemas-export.ts'

const modeAnswer = z.object({ mode: z.string() })
const idAnswer = z.object({ id: z.number().int() })

/**
 * Ids by the mode IMPORT of Confluent's registry and those that do as it does, as its documentation says. A subject is in
 * that mode only while something is missing of it, and lets nobody else register then.
 * @returns null where the registry knows no modes
 */
export async function modeWay(settings: Settings): Promise<SchemaWay | null> {
  const everywhere = await parsedAnswer(settings, { path: 'mode' }, modeAnswer)
  if (everywhere === null) return null
  const normal = everywhere.mode === 'IMPORT' ? 'READWRITE' : everywhere.mode

  return {
    schemaOf: (id) => readSchema(settings, id),
    objections: () =>
      Promise.resolve(normal === 'READWRITE' ? [] : [`it is in the mode ${normal}: set it to READWRITE`]),

    async write(missing) {
      const ids: number[] = []
      for (const { subject, id, version, schemaType, schema, references } of missing) {
        const mode = `mode/${encodeURIComponent(subject)}`
        const before = await parsedAnswer(settings, { path: mode }, modeAnswer)
        if (before?.mode !== 'IMPORT') {
          await answerOf(settings, { method: 'PUT', path: `${mode}?force=true`, body: { mode: 'IMPORT' } })
        }
        const body = { schema, schemaType, references, id, version }
        try {
          const made = await parsedAnswer(settings, { method: 'POST', path: versionsPath(subject), body }, idAnswer)
          ids.push(made?.id ?? -1)
        } finally {
          await answerOf(settings, { method: 'PUT', path: mode, body: { mode: normal } })
        }
      }
      return ids
    },

    async finish(subjects) {
      for (const subject of subjects) {
        const path = `mode/${encodeURIComponent(subject)}`
        const left = await parsedAnswer(settings, { path }, modeAnswer)
        if (left?.mode === 'IMPORT') await answerOf(settings, { method: 'PUT', path, body: { mode: normal } })
      }
    },
  }
}
