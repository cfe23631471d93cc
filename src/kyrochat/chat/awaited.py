"""Answers to clients that ask and wait in one request, and have no other way to watch or to stop."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

from kyrochat.accounts.viewer import Viewer
from kyrochat.chat.events import AnswerEnded, CitationAdded, Quote, TextDelta
from kyrochat.chat.service import ChatService
from kyrochat.chat.transcripts import Place, Transcripts
from kyrochat.db.models import Message
from kyrochat.db.states import MessageStatus
from kyrochat.errors import KyroError, ProviderUnavailable
from kyrochat.retrieval.types import Turn


@dataclass(slots=True)
class AwaitedAnswer:
    """An answer for which the client waits that asked. `turns` is what that client knows, the question last."""

    chat: ChatService
    transcripts: Transcripts
    viewer: Viewer
    conversation_id: UUID
    message: Message
    turns: Sequence[Turn]
    quotes: list[Quote] = field(default_factory=list)
    ended: AnswerEnded | None = None

    @classmethod
    async def begin(
        cls, chat: ChatService, transcripts: Transcripts, viewer: Viewer, place: Place, turns: Sequence[Turn]
    ) -> "AwaitedAnswer":
        """Ask the last of the turns in its place.

        Raises:
            KyroError: as `ChatService.send` does; the place is given back then.
        """
        try:
            exchange = await chat.send(viewer, place.conversation_id, turns[-1].text, parent_id=place.parent_id)
        except KyroError:
            await transcripts.give_back(viewer, place)
            raise
        return cls(chat, transcripts, viewer, place.conversation_id, exchange.answer, turns)

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Yield the answer's text. Whoever closes this before its end presses Stop; the text so far stays.

        Afterwards `message`, `quotes` and `ended` are what the answer has become.
        """
        try:
            async with aclosing(self.chat.events(self.viewer, self.message.id, 0)) as entries:
                async for entry in entries:
                    match entry.event:
                        case TextDelta(text):
                            yield text
                        case CitationAdded(quote):
                            self.quotes.append(quote)
                        case AnswerEnded() as ended:
                            self.ended = ended
                        case _:
                            pass
        finally:
            # In a task of its own: when the client has left, this one is cancelled.
            await asyncio.shield(asyncio.create_task(self._close()))

    async def whole(self) -> Message:
        """Wait for the whole answer, and return it.

        Raises:
            ProviderUnavailable: it has failed.
        """
        async with aclosing(self.pieces()) as pieces:
            async for _ in pieces:
                pass
        self.must_be_one()
        return self.message

    def must_be_one(self) -> None:
        """Check that it has ended as an answer.

        Raises:
            ProviderUnavailable: it has failed, or was interrupted.
        """
        if self.message.status in (MessageStatus.FAILED, MessageStatus.INTERRUPTED):
            reason = self.ended.reason if self.ended else None
            is_lost = self.ended is None or reason is None
            raise ProviderUnavailable(
                reason or "The answer was interrupted. Ask again.",
                retryable=is_lost or (self.ended is not None and self.ended.retryable),
            )

    async def _close(self) -> None:
        if self.ended is None:
            self.message = await self.chat.stop(self.viewer, self.message.id)
        else:
            self.message = await self.chat.message(self.viewer, self.message.id)
        if self.message.status in (MessageStatus.COMPLETED, MessageStatus.STOPPED):
            told = (*self.turns, Turn("assistant", self.message.text))
            await self.transcripts.note(self.viewer, self.message, told)
