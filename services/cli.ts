#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// A gate that is started again is at work sooner. With the packages, not where everybody may write: this is code.
const compiled = join(import.meta.dirname, '../node_modules/.cache/sluice')
enableCompileCache(compiled)
// For threads, which begin with nothing.
process.env.NODE_COMPILE_CACHE = compiled

// Only what is loaded from here on is kept.
const { runCli } = await import('./platform/run-cli.ts')

/** Every command: its words, what it does, and where it lives. A file is loaded only when its command is called. */
await runCli({
  stack: {
    summary: 'start, stop and look at the local Kafka and schema registry',
    load: async () => (await import('./cluster/stack-command.ts')).stackCommand(),
  },
  topics: {
    summary: 'make the topics as infra/topics.yaml says',
    load: async () => (await import('./cluster/topics-command.ts')).topicsCommand(),
  },
  access: {
    summary: 'give rights on the brokers as infra/access.yaml says, and see who has more',
    load: async () => (await import('./cluster/access-command.ts')).accessCommand(),
  },
  schemas: {
    summary: 'check the schemas, register, export and restore them',
    load: async () => (await import('./cluster/schemas-command.ts')).schemasCommand(),
  },
  keys: {
    summary: 'make, rotate and revoke the keys that receipts are signed with',
    load: async () => (await import('./cluster/keys-command.ts')).keysCommand(),
  },
  lists: {
    summary: 'import hash lists and see what is in force',
    load: async () => (await import('./lists/command.ts')).listsCommand(),
  },
  crawl: {
    summary: 'publish items to the door topic',
    load: async () => (await import('./crawl/command.ts')).crawlCommand(),
  },
  gate: {
    summary: 'judge the items on the door topic',
    load: async () => (await import('./gate/command.ts')).gateCommand(),
  },
  replay: {
    summary: 'put held items through the gate again',
    load: async () => (await import('./replay/command.ts')).replayCommand(),
  },
  recall: {
    summary: 'hold new list versions against everything ever cleared',
    load: async () => (await import('./recall/command.ts')).recallCommand(),
  },
  quarantine: {
    summary: 'tell what is held, and why',
    load: async () => (await import('./replay/quarantine-command.ts')).quarantineCommand(),
  },
  train: {
    summary: 'export what was cleared, and prove what an export holds',
    load: async () => (await import('./train/command.ts')).trainCommand(),
  },
  trace: {
    summary: 'tell all that is known of an item',
    load: async () => (await import('./trace/trace-command.ts')).traceCommand(),
  },
  provenance: {
    summary: 'tell how complete what is known of the items is',
    load: async () => (await import('./trace/provenance-command.ts')).provenanceCommand(),
  },
  store: {
    summary: 'find what the stores keep needlessly',
    load: async () => (await import('./stores/command.ts')).storeCommand(),
  },
  inspect: {
    summary: 'hash and judge files by hand, without Kafka',
    load: async () => (await import('./gate/inspect-command.ts')).inspectCommand(),
  },
})
