"""From a model's pieces to the events of its answer: cleaned, and cited."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kyrochat.chat.citations import CitationStream
from kyrochat.chat.cleaning.cleaner import Cleaner
from kyrochat.chat.cleaning.draft import Piece
from kyrochat.chat.cleaning.sources import Sources
from kyrochat.chat.events import AnswerEvent, TextDelta
from kyrochat.retrieval.types import Passage, Prompt

NOT_BORNE_OUT = "The sources do not bear this out."


@dataclass(slots=True)
class Output:
    """The text of one answer, on its way out."""

    citations: CitationStream
    cleaner: Cleaner
    _sources: Sources
    has_text: bool = False  # that can be seen: some models write line ends before they use a tool
    chars: int = 0  # that were fed

    @classmethod
    def of(cls, prompt: Prompt) -> "Output":
        """Return one that repeats addresses of the prompt's texts only, and cites its passages."""
        sources = Sources()
        sources.add([prompt.instructions, prompt.question, *(turn.text for turn in prompt.history)])
        output = cls(CitationStream([]), Cleaner(sources), sources)
        output.add(prompt.passages)
        return output

    def add(self, passages: Sequence[Passage], texts: Sequence[str] = ()) -> None:
        """Let further passages be cited, by the next numbers, and their addresses and those of `texts` be repeated."""
        self.citations.passages += passages
        self._sources.add([*(passage.text for passage in passages), *texts])

    def feed(self, piece: str) -> Iterator[AnswerEvent]:
        """Yield what can be said now."""
        self.chars += len(piece)
        yield from self._events(self.cleaner.feed(piece))

    def close(self) -> Iterator[AnswerEvent]:
        """Yield what was held back, since nothing follows."""
        yield from self._events(self.cleaner.close())
        yield from self.citations.close()

    def objection(self) -> Iterator[AnswerEvent]:
        """Yield what has to be said when the model named sources and none of them holds."""
        if self.citations.removed and not self.citations.count:
            yield TextDelta(f"\n\n{NOT_BORNE_OUT}" if self.has_text else NOT_BORNE_OUT)
            self.has_text = True

    def _events(self, pieces: Sequence[Piece]) -> Iterator[AnswerEvent]:
        for piece in pieces:
            for event in self.citations.feed(piece.text, is_code=piece.is_code):
                self.has_text = self.has_text or (isinstance(event, TextDelta) and not event.text.isspace())
                yield event
