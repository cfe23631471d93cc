// The operations of the journey, as a product's frontend would have them.
export const REGISTER = /* GraphQL */ `
  mutation Register($email: String!, $password: String!) {
    register(input: { email: $email, password: $password }) {
      __typename
      ... on Session {
        accessToken
      }
      ... on Problem {
        message
      }
    }
  }
`

export const CREATE_BOT = /* GraphQL */ `
  mutation CreateBot($name: String!) {
    createBot(input: { name: $name }) {
      __typename
      ... on Bot {
        id
        name
      }
      ... on Problem {
        message
      }
    }
  }
`

export const ADD_TEXT = /* GraphQL */ `
  mutation AddText($bot: ID!, $title: String!, $text: String!) {
    addTextDocument(input: { botId: $bot, title: $title, text: $text }) {
      __typename
      ... on Document {
        id
      }
      ... on Problem {
        message
      }
    }
  }
`

export const PROGRESS = /* GraphQL */ `
  subscription Progress($id: ID!) {
    documentProgress(id: $id) {
      id
      status
      progress
    }
  }
`

export const START = /* GraphQL */ `
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
`

export const SEND = /* GraphQL */ `
  mutation Send($conversation: ID!, $text: String!, $key: String) {
    sendMessage(input: { conversationId: $conversation, text: $text, idempotencyKey: $key }) {
      __typename
      ... on Exchange {
        question {
          id
        }
        answer {
          id
          status
        }
      }
      ... on Problem {
        message
      }
    }
  }
`

export const EVENTS = /* GraphQL */ `
  subscription Events($id: ID!, $after: Int) {
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
          quote
        }
      }
      ... on AnswerCompleted {
        sequence
        message {
          id
          text
          citations {
            number
            start
            end
            quote
            document {
              id
            }
          }
        }
      }
    }
  }
`

export const TEXT = /* GraphQL */ `
  query Text($id: ID!, $start: Int!, $end: Int!) {
    document(id: $id) {
      id
      text(start: $start, end: $end)
    }
  }
`

export const BOTS = /* GraphQL */ `
  query Bots($first: Int!) {
    bots(first: $first) {
      nodes {
        id
        name
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`
