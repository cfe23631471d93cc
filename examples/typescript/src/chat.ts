// Everything that speaks to KyroChat: mutations over HTTP with urql, the answer over a socket with graphql-ws.
import { Client, fetchExchange } from '@urql/core'
import { print } from 'graphql'
import { createClient } from 'graphql-ws'

import { graphql } from './gql'
import type { AnswerEventsSubscription } from './gql/graphql'

const Start = graphql(`
  mutation Start($bot: ID!) {
    startConversation(input: { botId: $bot }) {
      __typename
      ... on Conversation {
        id
      }
      ... on Problem {
        message
      }
    }
  }
`)

const Send = graphql(`
  mutation Send($conversation: ID!, $text: String!, $key: String!) {
    sendMessage(input: { conversationId: $conversation, text: $text, idempotencyKey: $key }) {
      __typename
      ... on Exchange {
        answer {
          id
        }
      }
      ... on Problem {
        message
      }
    }
  }
`)

const Stop = graphql(`
  mutation Stop($id: ID!) {
    stopAnswer(messageId: $id) {
      __typename
      ... on Problem {
        message
      }
    }
  }
`)

const AnswerEvents = graphql(`
  subscription AnswerEvents($id: ID!, $after: Int!) {
    answerEvents(messageId: $id, after: $after) {
      __typename
      ... on PassagesFound {
        sequence
      }
      ... on TextDelta {
        sequence
        text
      }
      ... on CitationAdded {
        sequence
        citation {
          number
          documentTitle
          quote
        }
      }
      ... on AnswerCompleted {
        sequence
      }
      ... on AnswerStopped {
        sequence
      }
      ... on AnswerInterrupted {
        sequence
      }
      ... on AnswerFailed {
        sequence
        reason
      }
    }
  }
`)

export type AnswerEvent = AnswerEventsSubscription['answerEvents']

export class Chat {
  private readonly http: Client
  private readonly socket: ReturnType<typeof createClient>
  private conversation: string | undefined

  /** `key` is an API key; one with `allowedOrigins` may be in the source of a page. */
  constructor(
    private readonly bot: string,
    key: string,
    url = new URL('/graphql', location.href),
  ) {
    const headers = { Authorization: `Bearer ${key}` }
    this.http = new Client({ url: url.href, exchanges: [fetchExchange], fetchOptions: { headers }, preferGetMethod: false })
    // After a drop it connects again by itself, as often as it takes.
    this.socket = createClient({
      url: url.href.replace(/^http/, 'ws'),
      connectionParams: headers,
      retryAttempts: Infinity,
      shouldRetry: () => true,
    })
  }

  /** Asks, and returns the id of the answer, which the server writes whether anybody watches or not. */
  async ask(text: string): Promise<string> {
    this.conversation ??= await this.start()
    const sent = await this.http.mutation(Send, { conversation: this.conversation, text, key: crypto.randomUUID() })
    const result = sent.data?.sendMessage
    if (result?.__typename === 'Exchange') return result.answer.id
    throw new Error(result?.message ?? sent.error?.message)
  }

  /** Yields what happens in an answer, from the event after `after` on, each once, to its last one. */
  async *events(id: string, after = 0): AsyncGenerator<AnswerEvent> {
    const query = print(AnswerEvents)
    // A socket that comes back sends them once more, as they are by then: it begins where this one ended.
    const variables = { id, after }
    for await (const { data, errors } of this.socket.iterate<AnswerEventsSubscription>({ query, variables })) {
      if (errors) throw new Error(errors[0]?.message)
      const event = data?.answerEvents
      if (!event || !('sequence' in event)) continue
      variables.after = event.sequence
      yield event
    }
  }

  async stop(id: string): Promise<void> {
    await this.http.mutation(Stop, { id })
  }

  private async start(): Promise<string> {
    const started = await this.http.mutation(Start, { bot: this.bot })
    const result = started.data?.startConversation
    if (result?.__typename === 'Conversation') return result.id
    throw new Error(result?.message ?? started.error?.message)
  }
}
