import kafkajs, { type Admin } from 'kafkajs'

/**
 * A topic's settings by name, as the brokers apply them; a name that they don't know is absent.
 * @param names like `retention.ms`
 */
export async function topicSettings(admin: Admin, topic: string, names: string[]): Promise<Map<string, string>> {
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configNames: names }
  const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: false })
  const entries = resources[0]?.configEntries ?? []
  return new Map(entries.map(({ configName, configValue }) => [configName, configValue]))
}
