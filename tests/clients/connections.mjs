// One face for four clients: run(document, variables) for queries and mutations, watch(document, variables) for
// subscriptions as an async iterable whose return() ends them, close().
import { createHash } from 'node:crypto'

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client'
import { GraphQLWsLink } from '@apollo/client/link/subscriptions'
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries'
import { Client, fetchExchange, subscriptionExchange } from '@urql/core'
import { persistedExchange } from '@urql/exchange-persisted'
import { createClient as createSse } from 'graphql-sse'
import { createClient as createWs } from 'graphql-ws'
import { OperationTypeNode } from 'graphql'
import WebSocket from 'ws'

// Apollo's link looks for it to tell errors from closed sockets; browsers and newer versions of Node have it.
globalThis.WebSocket ??= WebSocket

const sha256 = (text) => createHash('sha256').update(text).digest('hex')

export const CLIENTS = { 'graphql-ws': overSocket, 'graphql-sse': overEvents, apollo: overApollo, urql: overUrql }

function data(result) {
  if (result.error instanceof Error) throw result.error
  if (result.errors?.length) throw new Error(JSON.stringify(result.errors))
  return result.data
}

async function first(results) {
  for await (const result of results) return data(result)
  throw new Error('No result came.')
}

async function* all(results) {
  for await (const result of results) yield data(result)
}

function socketTo(url, token) {
  return createWs({
    url: url.replace('http', 'ws'),
    connectionParams: token ? { Authorization: `Bearer ${token}` } : {},
    retryAttempts: 0,
    webSocketImpl: WebSocket,
  })
}

function headersOf(token) {
  return token ? { Authorization: `Bearer ${token}` } : {}
}

function overSocket(url, token) {
  const socket = socketTo(url, token)
  return {
    run: (query, variables) => first(socket.iterate({ query, variables })),
    watch: (query, variables) => all(socket.iterate({ query, variables })),
    close: () => socket.dispose(),
  }
}

function overEvents(url, token) {
  const events = createSse({ url, headers: headersOf(token), retryAttempts: 0 })
  return {
    run: (query, variables) => first(events.iterate({ query, variables })),
    watch: (query, variables) => all(events.iterate({ query, variables })),
    close: () => events.dispose(),
  }
}

/** Turns what a client calls back into an async iterable. */
async function* iterated(subscribe) {
  const waiting = []
  let wake = () => {}
  const put = (item) => (waiting.push(item), wake())
  const end = subscribe({
    next: (value) => put({ value }),
    error: (error) => put({ error }),
    complete: () => put({ done: true }),
  })
  try {
    for (;;) {
      while (!waiting.length) await new Promise((resolve) => (wake = resolve))
      const item = waiting.shift()
      if (item.error) throw item.error
      if (item.done) return
      yield data(item.value)
    }
  } finally {
    end()
  }
}

export function overApollo(url, token, { persisted = false } = {}) {
  const socket = socketTo(url, token)
  const http = new HttpLink({ uri: url, headers: headersOf(token) })
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      persisted ? ApolloLink.from([new PersistedQueryLink({ sha256 }), http]) : http,
    ),
  })
  return {
    run: async (query, variables) => {
      const document = gql(query)
      const isQuery = document.definitions[0].operation === OperationTypeNode.QUERY
      const options = { variables, fetchPolicy: 'no-cache' }
      return data(await (isQuery ? client.query({ query: document, ...options }) : client.mutate({ mutation: document, ...options })))
    },
    watch: (query, variables) =>
      iterated((sink) => {
        const results = client.subscribe({ query: gql(query), variables, fetchPolicy: 'no-cache' })
        const subscription = results.subscribe(sink)
        return () => subscription.unsubscribe()
      }),
    close: () => (client.stop(), socket.dispose()),
  }
}

export function overUrql(url, token, { persisted = false, method = false } = {}) {
  const socket = socketTo(url, token)
  const client = new Client({
    url,
    preferGetMethod: method,
    fetchOptions: () => ({ headers: headersOf(token) }),
    exchanges: [
      ...(persisted ? [persistedExchange({ generateHash: async (text) => sha256(text), preferGetForPersistedQueries: false })] : []),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  })
  return {
    run: async (query, variables) => {
      const isQuery = query.trim().startsWith('query')
      return data(await (isQuery ? client.query(query, variables) : client.mutation(query, variables)).toPromise())
    },
    watch: (query, variables) =>
      iterated((sink) => {
        const { unsubscribe } = client.subscription(query, variables).subscribe((result) => {
          // urql tells the last result again when the stream is over.
          if (result.hasNext || result.error) sink.next(result)
          else sink.complete()
        })
        return unsubscribe
      }),
    close: () => socket.dispose(),
  }
}
