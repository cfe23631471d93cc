"""The GraphQL documents of the client. Their SHA-256 may be registered like those of any other client."""

REGISTER = """mutation Register($input: RegisterInput!) {
  register(input: $input) { __typename ... on Session { accessToken refreshToken } ... on Problem { message } }
}"""
LOGIN = """mutation Login($input: LoginInput!) {
  login(input: $input) { __typename ... on Session { accessToken refreshToken } ... on Problem { message } }
}"""
REFRESH = """mutation Refresh($input: RefreshSessionInput!) {
  refreshSession(input: $input) { __typename ... on Session { accessToken refreshToken } ... on Problem { message } }
}"""
CREATE_BOT = """mutation CreateBot($input: CreateBotInput!) {
  createBot(input: $input) { __typename ... on Bot { id name } ... on Problem { message } }
}"""
BOTS = """query Bots($after: String) {
  bots(first: 100, after: $after) { nodes { id name } pageInfo { hasNextPage endCursor } }
}"""
_DOCUMENT = "fragment documentState on Document { id title status progress failure }"
ADD_TEXT = f"""mutation AddText($input: AddTextDocumentInput!) {{
  addTextDocument(input: $input) {{ __typename ... on Document {{ ...documentState }} ... on Problem {{ message }} }}
}}
{_DOCUMENT}"""
ADD_PAGE = f"""mutation AddPage($input: AddWebDocumentInput!) {{
  addWebDocument(input: $input) {{ __typename ... on Document {{ ...documentState }} ... on Problem {{ message }} }}
}}
{_DOCUMENT}"""
UPLOAD = f"""mutation Upload($input: UploadDocumentInput!) {{
  uploadDocument(input: $input) {{ __typename ... on Document {{ ...documentState }} ... on Problem {{ message }} }}
}}
{_DOCUMENT}"""
PROGRESS = f"""subscription Progress($id: ID!) {{ documentProgress(id: $id) {{ ...documentState }} }}
{_DOCUMENT}"""
DELETE_DOCUMENT = """mutation DeleteDocument($id: ID!) {
  deleteDocument(id: $id) { __typename ... on DocumentDeletion { documentId } ... on Problem { message } }
}"""
SEARCH = """query Search($bot: ID!, $query: String!, $first: Int!) {
  search(botId: $bot, query: $query, first: $first) {
    document { id title } documentVersion start end text score
  }
}"""
START = """mutation Start($input: StartConversationInput!) {
  startConversation(input: $input) { __typename ... on Conversation { id } ... on Problem { message } }
}"""
SEND = """mutation Send($input: SendMessageInput!) {
  sendMessage(input: $input) { __typename ... on Exchange { answer { id } } ... on Problem { message } }
}"""
REGENERATE = """mutation Regenerate($id: ID!, $key: String!) {
  regenerateAnswer(messageId: $id, idempotencyKey: $key) {
    __typename ... on Exchange { answer { id conversation { id } } } ... on Problem { message }
  }
}"""
RATE = """mutation Rate($input: RateAnswerInput!) {
  rateAnswer(input: $input) { __typename ... on Message { id } ... on Problem { message } }
}"""
STOP = """mutation Stop($id: ID!) {
  stopAnswer(messageId: $id) { __typename ... on Message { id } ... on Problem { message } }
}"""
EVENTS = """subscription Events($id: ID!, $after: Int!) {
  answerEvents(messageId: $id, after: $after) {
    __typename
    ... on PassagesFound { sequence }
    ... on ToolCalled { sequence }
    ... on TextDelta { sequence text }
    ... on CitationAdded { sequence citation { ...cited } }
    ... on AnswerCompleted { sequence message { ...ended } }
    ... on AnswerStopped { sequence message { ...ended } }
    ... on AnswerInterrupted { sequence message { ...ended } }
    ... on AnswerFailed { sequence reason retryable message { ...ended } }
  }
}
fragment cited on Citation { number documentTitle documentVersion start end quote page document { id } }
fragment ended on Message { id status text grounded citations { ...cited } }"""
