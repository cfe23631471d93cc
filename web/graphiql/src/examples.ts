import { makeExamplePassword } from "./secrets";

/** Raise it when the examples change: everyone then sees the new ones once. */
export const EXAMPLES_VERSION = 2;

const SIGN_UP = `# 1. Press play and choose SignUp (later: SignIn).
#    The access token is sent along until you reload.
#    The password below was made up for you: note it
#    down, or type your own.
mutation SignUp($email: String!, $password: String!) {
  register(
    input: { email: $email, password: $password }
  ) {
    ...Signed
    ... on Problem { message }
    ... on InvalidInputProblem {
      issues { path message }
    }
  }
}

mutation SignIn($email: String!, $password: String!) {
  login(
    input: { email: $email, password: $password }
  ) {
    ...Signed
    ... on Problem { message }
  }
}

fragment Signed on Session {
  user { email name isAdmin }
  expiresAt
  accessToken
  refreshToken
}
`;

const CREATE_BOT = `# 2. Create a bot. The next tabs use the newest one:
#    its id stands in for "<bot id>".
mutation CreateBot(
  $name: String!
  $instructions: String
) {
  createBot(
    input: { name: $name, instructions: $instructions }
  ) {
    __typename
    ... on Bot { id name model topK }
    ... on Problem { message }
    ... on InvalidInputProblem {
      issues { path message }
    }
  }
}
`;

const ADD_DOCUMENT = `# 3. Give the bot something to read. "<bot id>" is
#    filled in; for another bot, put its id there.
mutation AddDocument(
  $botId: ID!
  $title: String!
  $text: String!
) {
  addTextDocument(
    input: { botId: $botId, title: $title, text: $text }
  ) {
    __typename
    ... on Document { id title status byteSize }
    ... on Problem { message }
    ... on InvalidInputProblem {
      issues { path message }
    }
  }
}
`;

const WATCH_DOCUMENT = `# 4. Watch the document being ingested. The stream ends
#    when the document is READY.
subscription WatchDocument($documentId: ID!) {
  documentProgress(id: $documentId) {
    title
    status
    progress
    chunkCount
    failure
  }
}
`;

const START_CONVERSATION = `# 5a. Start a conversation with the bot.
mutation StartConversation($botId: ID!) {
  startConversation(input: { botId: $botId }) {
    __typename
    ... on Conversation { id title createdAt }
    ... on Problem { message }
  }
}
`;

const ASK = `# 5b. Ask. The server answers, whoever watches: go to
#     the next tab to read along.
mutation Ask($conversationId: ID!, $question: String!) {
  sendMessage(
    input: {
      conversationId: $conversationId
      text: $question
    }
  ) {
    __typename
    ... on Exchange {
      question { id text }
      answer { id status }
    }
    ... on Problem { message }
  }
}
`;

const WATCH_ANSWER = `# 6. Watch the answer from its first event on. "text"
#    grows, the newest event is on top. Press play again
#    to replay it.
subscription WatchAnswer($answerId: ID!) {
  answerEvents(messageId: $answerId) {
    __typename
    ... on PassagesFound {
      sequence
      passages { score text document { title } }
    }
    ... on TextDelta { sequence text }
    ... on CitationAdded {
      sequence
      citation { number documentTitle quote start end }
    }
    ... on AnswerCompleted {
      sequence
      message { status grounded }
    }
    ... on AnswerStopped { sequence message { status } }
    ... on AnswerInterrupted {
      sequence
      message { status }
    }
    ... on AnswerFailed { sequence reason retryable }
  }
}
`;

const WHY = `# 7. See why the answer says what it says: what was
#    searched for, what each leg found, and where each
#    quote stands.
query WhyThisAnswer($answerId: ID!) {
  node(id: $answerId) {
    ... on Message {
      text
      grounded
      citations { number quote documentTitle start end }
      retrieval {
        searches {
          query
          legs { leg status candidates reason }
          passages { score document { title } }
        }
      }
    }
  }
}
`;

const TRY_SEARCH = `# 8. Search as an answer would, with other settings.
query TrySearch(
  $botId: ID!
  $query: String!
  $settings: SearchSettingsInput
) {
  explainSearch(
    botId: $botId
    query: $query
    settings: $settings
  ) {
    milliseconds
    legs { leg status candidates }
    candidates {
      rank
      score
      fate
      start
      end
    }
  }
}
`;

const GO_ON = `# 9. Rate the answer, have the question answered once
#    more beside it, or show the conversation to whoever
#    has a link.
mutation RateAnswer($answerId: ID!) {
  rateAnswer(input: { messageId: $answerId, rating: UP }) {
    __typename
    ... on Message { id feedback { rating } }
    ... on Problem { message }
  }
}

mutation AnswerAgain($answerId: ID!) {
  regenerateAnswer(messageId: $answerId) {
    __typename
    ... on Exchange {
      answer { id status siblings { place count } }
    }
    ... on Problem { message }
  }
}

mutation Share($conversationId: ID!) {
  shareConversation(
    input: { conversationId: $conversationId }
  ) {
    __typename
    ... on ShareCreated { url share { id } }
    ... on Problem { message }
  }
}
`;

const HANDBOOK =
  "Harbour Bikes rents city bikes, cargo bikes and e-bikes. A day starts when you collect the bike and ends 24 hours later. " +
  "E-bikes cost 29 euros a day, city bikes 12 euros, cargo bikes 35 euros.\n\n" +
  "Returns: bring the bike back to any of our three stations. A late return costs 5 euros per started hour. " +
  "If a bike breaks down, call us: we bring another one within 60 minutes, free of charge.\n\n" +
  "Helmets and locks are included. Child seats cost 4 euros a day and fit city bikes only.";

const tab = (query: string, variables: Record<string, unknown>) => ({ query, variables: JSON.stringify(variables, null, 2) });

/** The tabs of a new visitor, in the order in which to press play. */
export function exampleTabs(): { query: string; variables: string }[] {
  return [
    tab(SIGN_UP, { email: "me@example.com", password: makeExamplePassword() }),
    tab(CREATE_BOT, { name: "Harbour Bikes", instructions: "You help the customers of a bike rental. Be brief." }),
    tab(ADD_DOCUMENT, { botId: "<bot id>", title: "Handbook", text: HANDBOOK }),
    tab(WATCH_DOCUMENT, { documentId: "<document id>" }),
    tab(START_CONVERSATION, { botId: "<bot id>" }),
    tab(ASK, { conversationId: "<conversation id>", question: "What does an e-bike cost, and what if it breaks down?" }),
    tab(WATCH_ANSWER, { answerId: "<answer id>" }),
    tab(WHY, { answerId: "<answer id>" }),
    tab(TRY_SEARCH, { botId: "<bot id>", query: "broken bike", settings: { topK: 3 } }),
    tab(GO_ON, { answerId: "<answer id>", conversationId: "<conversation id>" }),
  ];
}
