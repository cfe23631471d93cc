import { Chat } from './chat'

const { VITE_KYROCHAT_BOT: bot, VITE_KYROCHAT_KEY: key } = import.meta.env
const chat = new Chat(bot, key)

const form = document.querySelector<HTMLFormElement>('#ask')!
const stop = document.querySelector<HTMLButtonElement>('#stop')!
const answer = document.querySelector<HTMLElement>('#answer')!
const citations = document.querySelector<HTMLElement>('#citations')!
const state = document.querySelector<HTMLElement>('#state')!

form.addEventListener('submit', async (event) => {
  event.preventDefault()
  answer.textContent = state.textContent = ''
  citations.replaceChildren()
  try {
    const id = await chat.ask(String(new FormData(form).get('question')))
    stop.hidden = false
    stop.onclick = () => chat.stop(id)
    for await (const happened of chat.events(id)) {
      // Text of a model, of documents, of anybody: it is shown as text, never as HTML.
      if (happened.__typename === 'TextDelta') answer.append(happened.text)
      if (happened.__typename === 'CitationAdded') cite(happened.citation)
      if (happened.__typename === 'AnswerFailed') state.textContent = happened.reason
      if (happened.__typename === 'AnswerInterrupted') state.textContent = 'The answer was interrupted. Ask again.'
    }
  } catch (error) {
    state.textContent = String(error)
  }
  stop.hidden = true
})

function cite({ number, documentTitle, quote }: { number: number; documentTitle: string; quote: string }) {
  const item = document.createElement('li')
  item.value = number
  item.textContent = `${documentTitle}: “${quote}”`
  citations.append(item)
}
