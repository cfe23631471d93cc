// What tools make of schema.graphql: KYROCHAT_SCHEMA is its path, KYROCHAT_SCRATCH an empty directory.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { ESLint } from 'eslint'
import { CriticalityLevel, diff, validate } from '@graphql-inspector/core'
import { buildSchema, Source } from 'graphql'

import * as documents from './documents.mjs'

const path = process.env.KYROCHAT_SCHEMA
const scratch = process.env.KYROCHAT_SCRATCH
const text = readFileSync(path, 'utf-8')

test('every rule for schemas is kept', async () => {
  cpSync(path, join(scratch, 'schema.graphql'))
  const lint = new ESLint({ overrideConfigFile: join(import.meta.dirname, 'eslint.config.js'), cwd: scratch })
  const [result] = await lint.lintFiles(['schema.graphql'])
  assert.deepEqual(result.messages.map(({ line, message, ruleId }) => `${line}: ${message} (${ruleId})`), [])
})

test('the linter would find what is wrong', async () => {
  writeFileSync(join(scratch, 'wrong.graphql'), text.replace('type Bot implements Node {', 'type Bot implements Node { Wrong_name: Int'))
  const lint = new ESLint({ overrideConfigFile: join(import.meta.dirname, 'eslint.config.js'), cwd: scratch })
  const [result] = await lint.lintFiles(['wrong.graphql'])
  assert.ok(result.messages.length >= 1)
})

test('graphql-inspector takes the schema, and the journey fits it', async () => {
  const schema = buildSchema(text)
  const sources = Object.entries(documents).map(([name, body]) => new Source(body, name))
  assert.deepEqual(validate(schema, sources), [])
  assert.deepEqual(await diff(schema, schema), [])
  const without = buildSchema(text.replace('  offlineMode: Boolean!\n', '  offlineModes: Boolean!\n'))
  const changes = await diff(schema, without)
  assert.ok(changes.some((change) => change.criticality.level === CriticalityLevel.Breaking))
})

test('relay-compiler makes artifacts of a page', async () => {
  cpSync(join(import.meta.dirname, 'relay'), join(scratch, 'relay'), { recursive: true })
  writeFileSync(
    join(scratch, 'relay.config.json'),
    JSON.stringify({ src: './relay', schema: './schema.graphql', language: 'typescript', artifactDirectory: './relay/made', noFutureProofEnums: true }),
  )
  cpSync(path, join(scratch, 'schema.graphql'))
  mkdirSync(join(scratch, 'relay', 'made'))
  const binary = join(import.meta.dirname, 'node_modules', '.bin', 'relay-compiler')
  await promisify(execFile)(binary, ['relay.config.json'], { cwd: scratch })
  assert.deepEqual(readdirSync(join(scratch, 'relay', 'made')).filter((name) => name.includes('Conversation')).sort(), [
    'ConversationEventsSubscription.graphql.ts',
    'ConversationListRefetchQuery.graphql.ts',
    'ConversationList_bot.graphql.ts',
    'ConversationMessagesRefetchQuery.graphql.ts',
    'ConversationMessages_conversation.graphql.ts',
    'ConversationPageQuery.graphql.ts',
    'ConversationSendMutation.graphql.ts',
  ])
})
