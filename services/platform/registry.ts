import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry'
import avro from 'avsc'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { subjectOf, type Topic, topicSchemas, topics } from '../domain/topics.ts'
import { assertBounded, schemaText, schemaType } from './avro.ts'
import type { Settings } from './settings.ts'

/** A decoded value, and the fields that its writer knew and we do not: dotted path to JSON text. */
export type Decoded<Value> = { value: Value; unknownFields: Record<string, string> }

export type Registry = ReturnType<typeof createRegistry>

const MAGIC = 0
const HEADER_BYTES = 5
const PATIENCE_MS = 5000
const versionNumbers = z.array(z.number().int())

/** How to read one schema id: null where what is registered is no Avro, or can't be read as ours. */
type Decoder = { writer: avro.Type; resolver: ReturnType<avro.Type['createResolver']> | null } | null

/**
 * Avro values in the Confluent wire format. Values are written with exactly the schema in `schemas/`, and read with the
 * writer's schema, which must be one of the topic's own subject. Whatever the registry has told once is kept: with the
 * registry down, known ids go on.
 */
export function createRegistry(settings: Settings) {
  const { registryCredentials: credentials } = settings
  const client = new SchemaRegistry({
    host: settings.registry,
    ...(credentials === null ? {} : { auth: credentials }),
    retry: { maxRetryTimeInSecs: 1, initialRetryTimeInSecs: 0.1, retries: 1 },
  })
  const parts = new Map(topics.map((topic) => [topic, createTopicPart(topic)]))

  function part(topic: Topic): ReturnType<typeof createTopicPart> {
    const found = parts.get(topic)
    if (found === undefined) throw new TypeError(`no such topic: ${topic}`)
    return found
  }

  /** Anything that goes wrong while asking is the registry's fault, never the message's. */
  async function ask<Answer>(what: string, question: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const late = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    try {
      return await Promise.race([question(signal), late])
    } catch (cause) {
      throw new SluiceError('REGISTRY_UNREACHABLE', `the schema registry did not tell ${what}`, { cause })
    }
  }

  function createTopicPart(topic: Topic) {
    const subject = subjectOf(settings.prefix, topic)
    const reader = schemaType(topicSchemas[topic])
    const decoders = new Map<number, Decoder>()
    const versionsSeen = new Set<number>()
    let ownId: Promise<number> | null = null
    let running: Promise<void> | null = null
    let queued: Promise<void> | null = null

    async function learnVersions(): Promise<void> {
      const versions = await ask(`the versions of ${subject}`, async (signal) => {
        const answer = await fetch(`${settings.registry}/subjects/${encodeURIComponent(subject)}/versions`, {
          signal,
          ...(credentials === null ? {} : { headers: { authorization: basicAuth(credentials) } }),
        })
        if (!answer.ok) throw new Error(`status ${answer.status}`)
        return versionNumbers.parse(await answer.json())
      })
      for (const version of versions.filter((number) => !versionsSeen.has(number))) {
        const id = await ask(`version ${version} of ${subject}`, () => client.getRegistryId(subject, version))
        decoders.set(id, decoderFor(await ask(`schema ${id}`, () => client.getSchema(id)), reader))
        versionsSeen.add(version)
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
      id(): Promise<number> {
        ownId ??= ask(`the id of our schema of ${subject}`, () =>
          client.getRegistryIdBySchema(subject, { type: SchemaType.AVRO, schema: schemaText(topicSchemas[topic]) }),
        ).catch((error: unknown) => {
          ownId = null
          throw error
        })
        return ownId
      },
      /** @returns undefined when the id is none of this topic's subject */
      async decoder(id: number): Promise<Decoder | undefined> {
        if (!decoders.has(id)) await refresh()
        return decoders.get(id)
      },
    }
  }

  return {
    /**
     * One value of a topic, ready to be produced.
     * @throws {SluiceError} REGISTRY_UNREACHABLE when our schema's id is not known yet and the registry can't tell
     */
    async encode(topic: Topic, value: unknown): Promise<Buffer> {
      const { reader, id } = part(topic)
      const header = Buffer.alloc(HEADER_BYTES)
      header.writeInt32BE(await id(), 1)
      return Buffer.concat([header, reader.toBuffer(value)])
    },

    /**
     * The value of a message, by its writer's schema.
     * @throws {SluiceError} MESSAGE_UNDECODABLE or SCHEMA_FOREIGN (the message's fault); REGISTRY_UNREACHABLE
     */
    async decode<Value>(topic: Topic, message: Buffer): Promise<Decoded<Value>> {
      if (message.length < HEADER_BYTES || message[0] !== MAGIC) throw new SluiceError('MESSAGE_UNDECODABLE')
      const { reader, decoder } = part(topic)
      const known = await decoder(message.readInt32BE(1))
      if (known === undefined) throw new SluiceError('SCHEMA_FOREIGN')
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

function decoderFor(writer: unknown, reader: avro.Type): Decoder {
  if (!(writer instanceof avro.Type)) return null
  if (writer.equals(reader)) return { writer, resolver: null }
  try {
    return { writer, resolver: reader.createResolver(writer) }
  } catch {
    return null
  }
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

function basicAuth(credentials: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
}
