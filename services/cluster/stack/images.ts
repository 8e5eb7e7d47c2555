import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ImageName } from 'testcontainers'
import type { Engine } from './docker.ts'
import type { ServerName } from './provider.ts'

const pom = readFileSync(join(import.meta.dirname, '../../../infra/pom.xml'), 'utf8')

/** The image of each server, in the version that the pom pins: what `make images` builds, and what the makers publish. */
const images: Readonly<Record<ServerName, { own: string; official: string }>> = {
  kafka: imagesOf('kafka', 'apache/kafka'),
  registry: imagesOf('apicurio', 'apicurio/apicurio-registry'),
}

/** The image to run a server from: one built here where there is one, else the official one. */
export async function imageFor(engine: Engine, server: ServerName): Promise<string> {
  const { own, official } = images[server]
  return (await engine.client.image.exists(ImageName.fromString(own))) ? own : official
}

function imagesOf(name: string, official: string): { own: string; official: string } {
  const version = new RegExp(`<${name}\\.version>([^<]+)<`).exec(pom)?.[1]
  if (version === undefined) throw new Error(`the pom names no version of ${name}`)
  return { own: `sluice/${name}:${version}`, official: `${official}:${version}` }
}
