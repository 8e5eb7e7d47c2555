import avro from 'avsc'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { subjectOf, type Topic, topicSchemas } from '../domain/topics.ts'
import { askRegistry, type RegistryQuestion, untold } from './ask-registry.ts'
import { assertBeginningBounded, assertBounded, schemaText, schemaType } from './avro.ts'
import type { Settings } from './settings.ts'

/** A decoded value, and the fields that its writer knew and we do not: dotted path to JSON text. */
export type Decoded<Value> = { value: Value; unknownFields: Record<string, string> }

export type Registry = ReturnType<typeof createRegistry>

const MAGIC = 0
const HEADER_BYTES = 5
const PATIENCE_MS = 5000
/** What is known is confirmed this often; a registry that is slow to confirm holds nobody up for longer than its patience. */
const CONFIRM_EVERY_MS = 10_000
const CONFIRM_PATIENCE_MS = 1000
const NOT_FOUND = 404

const id = z.number().int().nonnegative()
const idAnswer = z.object({ id })
const versionsAnswer = z.array(z.number().int())
const versionAnswer = z.object({ id, schema: z.string(), schemaType: z.string().optional() })
/** Subject, version or schema not found; whatever else answers 404 is not the registry. */
const notFoundAnswer = z.object({ error_code: z.union([z.literal(40_401), z.literal(40_402), z.literal(40_403)]) })

/** How to read one schema id: null where what is registered is no Avro, or can't be read as ours. */
type Decoder = { writer: avro.Type; resolver: ReturnType<avro.Type['createResolver']> | null } | null

/**
 * Avro values in the Confluent wire format. Values are written with exactly the schema in `schemas/`, and read with the
 * writer's schema, which must be one of the topic's own subject. Whatever the registry has told once is kept: with the
 * registry down, known ids go on. With a registry that says something else than before, because it lost its storage and gives
 * ids away anew, nothing goes on: the same id would mean two schemas.
 */
export function createRegistry(settings: Pick<Settings, 'registry' | 'registryCredentials' | 'prefix'>) {
  const parts = new Map<Topic, ReturnType<typeof createTopicPart>>()

  function part(topic: Topic): ReturnType<typeof createTopicPart> {
    const found = parts.get(topic) ?? createTopicPart(topic)
    parts.set(topic, found)
    return found
  }

  /** @returns null where the registry has nothing of that name */
  async function ask<Answer>(question: RegistryQuestion, answer: z.ZodType<Answer>): Promise<Answer | null> {
    const { status, said } = await askRegistry(settings, question)
    if (status === NOT_FOUND && notFoundAnswer.safeParse(said).success) return null
    if (status < 200 || status > 299) throw untold(question.what, new Error(`status ${status}`))
    const parsed = answer.safeParse(said)
    if (!parsed.success) throw untold(question.what, parsed.error)
    return parsed.data
  }

  /**
   * The id of our schema of a subject, asked anew each time.
   * @returns null where the registry does not have it
   */
  async function lookUp(subject: string, schema: string, patienceMs: number): Promise<number | null> {
    const what = `the id of our schema of ${subject}`
    const path = `subjects/${encodeURIComponent(subject)}`
    return (await ask({ what, method: 'POST', path, body: { schema }, patienceMs }, idAnswer))?.id ?? null
  }

  function get<Answer>(what: string, path: string, answer: z.ZodType<Answer>): Promise<Answer | null> {
    return ask({ what, path, patienceMs: PATIENCE_MS }, answer)
  }

  function createTopicPart(topic: Topic) {
    const subject = subjectOf(settings.prefix, topic)
    const path = `subjects/${encodeURIComponent(subject)}`
    const ourText = schemaText(topicSchemas[topic])
    const reader = schemaType(topicSchemas[topic])
    const decoders = new Map<number, Decoder>()
    /** text of a schema, by its id */
    const texts = new Map<number, string>()
    let ownId: number | null = null
    let confirmedAt = Number.NEGATIVE_INFINITY
    let contradiction: SluiceError | null = null
    let confirming: Promise<void> | null = null
    let running: Promise<void> | null = null
    let queued: Promise<void> | null = null

    /** Learns the id of our schema, or sees whether it is still the same. @param isNeeded whether no answer is a fault */
    async function confirm(patienceMs: number, isNeeded: boolean): Promise<void> {
      let found: number | null
      try {
        found = await lookUp(subject, ourText, patienceMs)
      } catch (error) {
        if (contradiction !== null) throw contradiction
        if (isNeeded) throw error
        confirmedAt = performance.now()
        return
      }
      if (ownId !== null && found !== ownId) {
        const now = found === null ? 'no longer has it' : `now gives it ${found}`
        contradiction = new SluiceError(
          'SCHEMA_IDS_CHANGED',
          `our schema of ${subject} had the id ${ownId}, and the schema registry ${now}: has it lost its storage?`,
        )
        throw contradiction
      }
      if (found === null) {
        throw new SluiceError(
          'REGISTRY_UNREACHABLE',
          `the schema registry does not have our schema of ${subject}: run \`sluice schemas register\`, or \`sluice schemas restore\` where it has had it`,
        )
      }
      ownId = found
      contradiction = null
      confirmedAt = performance.now()
    }

    function isConfirmed(): boolean {
      return ownId !== null && contradiction === null && performance.now() - confirmedAt <= CONFIRM_EVERY_MS
    }

    async function confirmed(): Promise<number> {
      if (!isConfirmed()) {
        const isNeeded = ownId === null
        confirming ??= confirm(isNeeded ? PATIENCE_MS : CONFIRM_PATIENCE_MS, isNeeded).finally(() => {
          confirming = null
        })
        await confirming
      }
      if (ownId === null) throw new TypeError(`the id of our schema of ${subject} was confirmed but is not known`)
      return ownId
    }

    async function learnVersions(): Promise<void> {
      // An id that we do not know may be of a registry that was emptied and filled anew.
      await confirm(PATIENCE_MS, true)
      const versions = await get(`the versions of ${subject}`, `${path}/versions`, versionsAnswer)
      let hasOurs = false
      for (const version of versions ?? []) {
        const found = await get(`version ${version} of ${subject}`, `${path}/versions/${version}`, versionAnswer)
        if (found === null) continue
        const before = texts.get(found.id)
        if (before === undefined) decoders.set(found.id, decoderFor(found, reader))
        else if (before !== found.schema) {
          const sentence = `the schema registry now gives the id ${found.id} to another schema of ${subject} than before`
          throw new SluiceError('SCHEMA_IDS_CHANGED', `${sentence}: has it lost its storage?`)
        }
        texts.set(found.id, found.schema)
        hasOurs ||= found.id === ownId
      }
      if (!hasOurs) {
        throw new SluiceError('REGISTRY_UNREACHABLE', `the schema registry does not list our schema of ${subject}`)
      }
    }

    /** Asks anew, beginning after this call: an answer already under way may be older than the message in hand. */
    function refresh(): Promise<void> {
      if (running === null) {
        running = learnVersions().finally(() => {
          running = null
        })
        return running
      }
      queued ??= running
        .catch(() => undefined)
        .then(() => {
          queued = null
          return refresh()
        })
      return queued
    }

    return {
      reader,
      id: confirmed,
      learn: refresh,
      /** @returns undefined when the registry is to be asked first */
      knownDecoder(id: number): Decoder | undefined {
        return isConfirmed() ? decoders.get(id) : undefined
      },
      /** @returns undefined when the id is none of this topic's subject */
      async decoder(id: number): Promise<Decoder | undefined> {
        if (decoders.has(id)) await confirmed()
        else await refresh()
        return decoders.get(id)
      },
    }
  }

  return {
    /**
     * One value of a topic, ready to be produced.
     * @throws {SluiceError} REGISTRY_UNREACHABLE when our schema's id is not known yet and the registry can't tell;
     * SCHEMA_IDS_CHANGED
     */
    async encode(topic: Topic, value: unknown): Promise<Buffer> {
      const { reader, id } = part(topic)
      const header = Buffer.alloc(HEADER_BYTES)
      header.writeInt32BE(await id(), 1)
      return Buffer.concat([header, reader.toBuffer(value)])
    },

    /** Where a value does not fit our schema of a topic, so that it can't be encoded: dotted path of its first such field; null where it fits. */
    misfit(topic: Topic, value: unknown): string | null {
      let at: string | null = null
      part(topic).reader.isValid(value, {
        errorHook(path) {
          at ??= path.join('.')
        },
      })
      return at
    },

    /**
     * The value of a message, by its writer's schema.
     * @throws {SluiceError} MESSAGE_UNDECODABLE or SCHEMA_FOREIGN (the message's fault); REGISTRY_UNREACHABLE,
     * SCHEMA_IDS_CHANGED
     */
    async decode<Value>(topic: Topic, message: Buffer): Promise<Decoded<Value>> {
      const { reader, decoder } = part(topic)
      const known = await decoder(schemaIdOf(message))
      if (known === undefined) throw new SluiceError('SCHEMA_FOREIGN')
      return decodeBy(known, reader, message)
    },

    /**
     * As {@link decode}, but at once: for millions of messages.
     * @returns null when the registry is to be asked first, as `decode` does
     * @throws {SluiceError} MESSAGE_UNDECODABLE
     */
    decodeKnown<Value>(topic: Topic, message: Buffer): Decoded<Value> | null {
      const { reader, knownDecoder } = part(topic)
      const known = knownDecoder(schemaIdOf(message))
      return known === undefined ? null : decodeBy(known, reader, message)
    },

    /**
     * Makes what decodes some fields of a topic's values, at once. What stands behind the last of them in a message is neither read nor
     * checked: where few are wanted, or of few messages more, that is most of the work.
     * @returns null when the registry is to be asked first, as `decode` does
     * @throws {SluiceError} MESSAGE_UNDECODABLE, from what is made
     */
    fieldsDecoder<Value, Name extends keyof Value & string>(
      topic: Topic,
      names: readonly Name[],
    ): (message: Buffer) => Pick<Value, Name> | null {
      const { reader, knownDecoder } = part(topic)
      const some = typeOfFields(reader, names)
      const decoders = new WeakMap<avro.Type, FieldsDecoder>()
      return (message) => {
        const known = knownDecoder(schemaIdOf(message))
        if (known === undefined) return null
        if (known === null) throw new SluiceError('MESSAGE_UNDECODABLE')
        const decoder = decoders.get(known.writer) ?? fieldsDecoderFor(known.writer, some)
        decoders.set(known.writer, decoder)
        try {
          assertBeginningBounded(decoder.writer, decoder.count, message, HEADER_BYTES)
          return some.fromBuffer(message.subarray(HEADER_BYTES), decoder.resolver, true)
        } catch (cause) {
          throw new SluiceError('MESSAGE_UNDECODABLE', undefined, { cause })
        }
      }
    },

    /**
     * Asks for all that decoding a topic's messages needs, so that its first message need not wait.
     * @throws {SluiceError} REGISTRY_UNREACHABLE, SCHEMA_IDS_CHANGED
     */
    async learn(topic: Topic): Promise<void> {
      await part(topic).learn()
    },

    /**
     * Resolves when our schemas of these topics are registered and their ids are known.
     * @throws {SluiceError} REGISTRY_UNREACHABLE
     */
    async warm(wanted: readonly Topic[]): Promise<void> {
      await Promise.all(wanted.map((topic) => part(topic).id()))
    },
  }
}

/** @throws {SluiceError} MESSAGE_UNDECODABLE where it has none */
function schemaIdOf(message: Buffer): number {
  if (message.length < HEADER_BYTES || message[0] !== MAGIC) throw new SluiceError('MESSAGE_UNDECODABLE')
  return message.readInt32BE(1)
}

/** @throws {SluiceError} MESSAGE_UNDECODABLE */
function decodeBy<Value>(known: Decoder, reader: avro.Type, message: Buffer): Decoded<Value> {
  if (known === null) throw new SluiceError('MESSAGE_UNDECODABLE')
  const { writer, resolver } = known
  try {
    assertBounded(writer, message, HEADER_BYTES)
    const body = message.subarray(HEADER_BYTES)
    if (resolver === null) return { value: reader.fromBuffer(body), unknownFields: {} }
    const unknownFields: Record<string, string> = {}
    collectUnknown(writer.fromBuffer(body), writer, reader, '', unknownFields)
    return { value: reader.fromBuffer(body, resolver), unknownFields }
  } catch (cause) {
    throw new SluiceError('MESSAGE_UNDECODABLE', undefined, { cause })
  }
}

function decoderFor(registered: z.infer<typeof versionAnswer>, reader: avro.Type): Decoder {
  if (registered.schemaType !== undefined && registered.schemaType !== 'AVRO') return null
  try {
    const writer = avro.Type.forSchema(JSON.parse(registered.schema))
    return { writer, resolver: writer.equals(reader) ? null : reader.createResolver(writer) }
  } catch {
    return null
  }
}

/** How to read some fields of what was written by one schema: the first `count` of its fields have them all. */
type FieldsDecoder = { writer: avro.types.RecordType; count: number; resolver: ReturnType<avro.Type['createResolver']> }

function fieldsDecoderFor(writer: avro.Type, some: avro.types.RecordType): FieldsDecoder {
  const record = recordOf(writer)
  if (record === null) throw new SluiceError('MESSAGE_UNDECODABLE')
  const count = record.fields.findLastIndex(({ name }) => some.fields.some((field) => field.name === name)) + 1
  return { writer: record, count, resolver: some.createResolver(record) }
}

/** A record's type with these of its fields only. */
function typeOfFields(type: avro.Type, names: readonly string[]): avro.types.RecordType {
  const record = recordOf(type)
  const fields = record?.fields.filter(({ name }) => names.includes(name)).map(fieldSchema)
  const some = recordOf(avro.Type.forSchema({ type: 'record', name: type.name ?? '', fields: fields ?? [] }))
  if (some === null) throw new TypeError(`${type.name} is no record`)
  return some
}

function fieldSchema({ name, type, defaultValue }: avro.types.Field) {
  const value: unknown = defaultValue()
  return { name, type, ...(value === undefined ? {} : { default: value }) }
}

/** Walks a value along its writer's type and ours, and notes each field that only the writer has. */
function collectUnknown(
  value: unknown,
  writer: avro.Type,
  reader: avro.Type | undefined,
  path: string,
  found: Record<string, string>,
): void {
  const ours = recordOf(reader)
  const theirs = recordOf(writer)
  if (theirs === null || typeof value !== 'object' || value === null) return
  for (const field of theirs.fields) {
    const inner: unknown = Reflect.get(value, field.name)
    const innerPath = path === '' ? field.name : `${path}.${field.name}`
    const known = ours?.fields.find((candidate) => candidate.name === field.name)
    if (known === undefined) found[innerPath] = field.type.toString(inner)
    else collectUnknown(inner, field.type, known.type, innerPath, found)
  }
}

/** The record type that a type is, or that a nullable union holds. */
function recordOf(type: avro.Type | undefined): avro.types.RecordType | null {
  if (type instanceof avro.types.RecordType) return type
  if (type instanceof avro.types.UnwrappedUnionType || type instanceof avro.types.WrappedUnionType) {
    return recordOf(type.types.find((branch) => branch instanceof avro.types.RecordType))
  }
  return null
}
