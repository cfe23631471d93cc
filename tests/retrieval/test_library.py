"""Quality over a small library of our own, so that it cannot rot unseen: changes of a term or a weight show up here."""

from pathlib import Path
from uuid import UUID

import pytest

from kyrochat.retrieval.chunking import split
from kyrochat.retrieval.extraction import choose
from kyrochat.retrieval.lexical import chunk_tokens, encode_query, encode_tokens, tokenize
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.metrics import mean, ndcg, recall, reciprocal_rank
from kyrochat.retrieval.proximity import proximity_bonus
from kyrochat.retrieval.sentences import sentence_spans
from kyrochat.retrieval.support import best_span
from kyrochat.retrieval.types import Passage

# What is asked, and words that only the answering chunk holds.
QUESTIONS = {
    "Who built the harbour of Veldmoor?": "Tilda Brandt",
    "How much does a night cost for a boat of 8 metres?": "24 euros",
    "When is the harbour office open in winter?": "9:00 to 15:00",
    "How deep is the entrance at low water?": "2.6 metres",
    "Who was the last lighthouse keeper?": "Joris Hale",
    "Can I buy petrol in the harbour?": "petrol is not available",
    "What is the speed limit in the basin?": "3 knots",
    "How often is the sourdough starter fed?": "every evening",
    "How long are white loaves baked?": "45 minutes",
    "How much fat must croissant butter have?": "84 percent",
    "Who delivered the deck oven?": "Morand",
    "On which days does flour arrive?": "Tuesdays and Fridays",
    "When is the shop closed in August?": "first two weeks of August",
    "Which port does the server listen on?": "7411",
    "What happens to a message after five attempts?": "dead letter queue",
    "What does ERR_LEASE_LOST mean?": "another consumer has taken the message",
    "What is the default of ackTimeoutSeconds?": "30 by default",
    "How do I make a backup while the server is running?": "tern snapshot FILE",
    "What is the maximum size of a message?": "4 MiB",
    "Who began the Tern project?": "Amara Diallo",
    "Wie hoch ist der Jahresbeitrag für Studierende?": "50 Euro",
    "Wann wird das Wasser abgestellt?": "Ende Oktober",
    "Warum dürfen keine gekochten Speisen auf den Kompost?": "Ratten",
}
ABSENT = [
    "Who is the president of France?",
    "How do I reset my password?",
    "What is the population of Lisbon?",
    "When was the first moon landing?",
    "Which vitamins does an orange contain?",
    "How tall is Mount Everest?",
    "Do you ship orders to Brazil?",
    "What programming language is the website written in?",
    "How many players are in a football team?",
    "Wer hat die Fußballweltmeisterschaft gewonnen?",
]


@pytest.fixture(scope="module")
def library() -> list[Passage]:
    passages: list[Passage] = []
    for number, file in enumerate(sorted((Path(__file__).parent / "library").glob("*.md"))):
        text = file.read_text(encoding="utf-8")
        # A chunk a section, so that there is something to choose from in so small a library.
        for chunk in (chunk for part in split(text, markdown=True) for chunk in _sections(part.text)):
            identity = UUID(int=len(passages))
            title = text.partition("\n")[0].lstrip("# ")
            passages.append(Passage(identity, UUID(int=number), title, 1, 0, len(chunk), chunk, 0.0))
    return passages


def _sections(text: str) -> list[str]:
    return [part if part.startswith("#") else "## " + part for part in text.split("\n## ")]


def search(library: list[Passage], question: str) -> list[Passage]:
    tokens = [chunk_tokens(passage.document_title, passage.text) for passage in library]
    lexicon = Lexicon.build(tokens)
    query = encode_query(question, lexicon)
    weights = dict(zip(query.indices, query.values, strict=True))
    scored = []
    for passage, terms in zip(library, tokens, strict=True):
        vector = encode_tokens(terms)
        score = sum(weights.get(i, 0.0) * value for i, value in zip(vector.indices, vector.values, strict=True))
        scored.append((score + proximity_bonus(tokenize(question), terms, lexicon.idf), passage))
    scored.sort(key=lambda pair: -pair[0])
    return [passage for score, passage in scored if score > 0]


def test_questions_find_the_chunk_that_answers_them(library: list[Passage]) -> None:
    rows = []
    for question, words in QUESTIONS.items():
        gains = {str(passage.chunk_id): 1.0 for passage in library if words in passage.text}
        assert len(gains) == 1, words
        ranking = [str(passage.chunk_id) for passage in search(library, question)]
        rows.append((ndcg(ranking, gains), recall(ranking, gains, 3), reciprocal_rank(ranking, gains)))

    ndcgs, recalls, ranks = zip(*rows, strict=True)
    assert mean(recalls) >= 0.95
    assert mean(ndcgs) >= 0.93
    assert mean(ranks) >= 0.9


def test_the_offline_answerer_quotes_the_answer(library: list[Passage]) -> None:
    missed = []
    for question, words in QUESTIONS.items():
        quotes = choose(question, (), search(library, question)[:8])
        if words not in " ".join(quote.text for quote in quotes):
            missed.append(question)

    assert len(missed) <= 4, missed


def test_the_offline_answerer_is_silent_about_what_is_absent(library: list[Passage]) -> None:
    answered = [question for question in ABSENT if choose(question, (), search(library, question)[:8])]

    assert len(answered) <= 1, answered


def test_every_sentence_of_the_library_is_found_again_as_its_own_support(library: list[Passage]) -> None:
    for passage in library:
        for start, end in sentence_spans(passage.text):
            claim = " ".join(passage.text[start:end].split())
            if len(claim) >= 8:
                assert best_span(passage.text, claim + " [1]") == (start, end)
