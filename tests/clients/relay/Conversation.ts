// What a page built with Relay asks for: connections that grow, a fragment that is fetched again, a subscription.
import { graphql } from 'relay-runtime'

export const page = graphql`
  query ConversationPageQuery($bot: ID!) {
    bot(id: $bot) {
      ...ConversationList_bot
    }
  }
`

export const list = graphql`
  fragment ConversationList_bot on Bot
  @refetchable(queryName: "ConversationListRefetchQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 10 }, cursor: { type: "String" }) {
    id
    name
    conversations(first: $count, after: $cursor) @connection(key: "ConversationList_conversations") {
      edges {
        node {
          id
          title
        }
      }
    }
  }
`

export const messages = graphql`
  fragment ConversationMessages_conversation on Conversation
  @refetchable(queryName: "ConversationMessagesRefetchQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 50 }, cursor: { type: "String" }) {
    messages(first: $count, after: $cursor) @connection(key: "ConversationMessages_messages") {
      edges {
        node {
          id
          role
          status
          text
        }
      }
    }
  }
`

export const send = graphql`
  mutation ConversationSendMutation($input: SendMessageInput!) {
    sendMessage(input: $input) {
      __typename
      ... on Exchange {
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

export const events = graphql`
  subscription ConversationEventsSubscription($id: ID!, $after: Int) {
    answerEvents(messageId: $id, after: $after) {
      __typename
      ... on TextDelta {
        sequence
        text
      }
      ... on AnswerCompleted {
        message {
          id
          text
          status
        }
      }
    }
  }
`
