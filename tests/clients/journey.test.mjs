// From an account to a streamed and cited answer, with each client: `node --test`, KYROCHAT_URL is that of /graphql.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { CLIENTS, overApollo, overUrql } from './connections.mjs'
import { ADD_TEXT, BOTS, CREATE_BOT, EVENTS, PROGRESS, REGISTER, SEND, START, TEXT } from './documents.mjs'

const url = process.env.KYROCHAT_URL
const NOTE = 'The tower clock is wound on Mondays. The keys hang behind the counter. Ask the porter for the lamp.'

async function signedIn(connect) {
  const visitor = connect(url)
  const account = { email: `${randomUUID()}@example.com`, password: 'a long enough password' }
  const { register } = await visitor.run(REGISTER, account)
  assert.equal(register.__typename, 'Session')
  await visitor.close()
  return register.accessToken
}

async function asked(client) {
  const { createBot } = await client.run(CREATE_BOT, { name: `Clock ${randomUUID()}` })
  assert.equal(createBot.__typename, 'Bot')
  const { addTextDocument } = await client.run(ADD_TEXT, { bot: createBot.id, title: 'Clock', text: NOTE })
  assert.equal(addTextDocument.__typename, 'Document')
  let status
  for await (const { documentProgress } of client.watch(PROGRESS, { id: addTextDocument.id })) status = documentProgress.status
  assert.equal(status, 'READY')
  const { startConversation } = await client.run(START, { bot: createBot.id })
  const question = { conversation: startConversation.id, text: 'When is the tower clock wound?', key: randomUUID() }
  const { sendMessage } = await client.run(SEND, question)
  assert.equal(sendMessage.__typename, 'Exchange')
  return { bot: createBot, answerId: sendMessage.answer.id, question, exchange: sendMessage }
}

async function events(client, id, after = 0, count = Infinity) {
  const seen = []
  for await (const { answerEvents } of client.watch(EVENTS, { id, after })) {
    seen.push(answerEvents)
    if (seen.length === count) break
  }
  return seen
}

const textOf = (seen) => seen.map((event) => event.text ?? '').join('')

for (const [name, connect] of Object.entries(CLIENTS)) {
  test(`${name} gets a streamed answer whose quotes hold`, async () => {
    const client = connect(url, await signedIn(connect))
    const { bot, answerId, question, exchange } = await asked(client)

    const seen = await events(client, answerId)

    assert.deepEqual(seen.map((event) => event.sequence), seen.map((_, place) => place + 1))
    const last = seen.at(-1)
    assert.equal(last.__typename, 'AnswerCompleted')
    assert.match(last.message.text, /Mondays/)
    assert.equal(textOf(seen), last.message.text)
    assert.ok(last.message.citations.length >= 1)
    for (const { document, start, end, quote } of last.message.citations) {
      const { document: source } = await client.run(TEXT, { id: document.id, start, end })
      assert.equal(source.text, quote)
    }
    const again = await client.run(SEND, question)
    assert.deepEqual(again.sendMessage, { ...exchange, answer: { ...exchange.answer, status: 'COMPLETED' } })
    const { bots } = await client.run(BOTS, { first: 5 })
    assert.deepEqual(bots.nodes.map((node) => node.id), [bot.id])
    await client.close()
  })

  test(`${name} leaves after the first event and resumes where it was`, async () => {
    const token = await signedIn(connect)
    const client = connect(url, token)
    const { answerId } = await asked(client)
    const [head] = await events(client, answerId, 0, 1)
    await client.close()

    const returned = connect(url, token)
    const rest = await events(returned, answerId, head.sequence)

    assert.equal(rest[0].sequence, 2)
    assert.equal(rest.at(-1).__typename, 'AnswerCompleted')
    assert.equal(textOf([head, ...rest]), rest.at(-1).message.text)
    await returned.close()
  })

  test(`${name} hears of a wrong field as an error, not as silence`, async () => {
    const client = connect(url)
    const saysSo = (error) => /Cannot query field/.test(JSON.stringify(error) + String(error))
    await assert.rejects(client.run('query Wrong { nothing }', {}), saysSo)
    await assert.rejects(async () => {
      for await (const _ of client.watch('subscription Wrong { nothing }', {}));
    }, saysSo)
    await client.close()
  })
}

test('clients that send hashes first get their answers too', async () => {
  const token = await signedIn(overUrql)
  for (const connect of [overApollo, overUrql]) {
    const client = connect(url, token, { persisted: true })
    const { bots } = await client.run(BOTS, { first: 5 })
    assert.deepEqual(bots.nodes, [])
    await client.close()
  }
})

test('urql may send its queries over GET', async () => {
  const client = overUrql(url, await signedIn(overUrql), { method: 'force' })
  const { bots } = await client.run(BOTS, { first: 5 })
  assert.deepEqual(bots.nodes, [])
  await client.close()
})
