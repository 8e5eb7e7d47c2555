#!/usr/bin/env node
import { existsSync } from 'node:fs'

// In a checkout as it is written there; where npm installed it as it was built, since Node runs no TypeScript below node_modules.
const source = new URL('../../services/cli.ts', import.meta.url)
await import(existsSync(source) ? source.href : new URL('../../dist/services/cli.js', import.meta.url).href)
