"""Whatever is asked, edited, answered again and turned to: each list is what a model of twenty lines says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kyrochat.chat.conversations import ConversationService
from kyrochat.chat.exchanges import Exchange
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Conversation, Message
from tests.chat.scene import Chat

# Counted from the newest message, round and round.
choice = st.integers(0, 30)
step = st.tuples(st.sampled_from(["ask", "follow", "edit", "again", "turn"]), choice)


@dataclass
class Tree:
    """A conversation without a database: parents in the order of writing, and the active leaf."""

    parents: dict[UUID, UUID | None] = field(default_factory=dict)
    questions: list[UUID] = field(default_factory=list)
    answers: list[UUID] = field(default_factory=list)
    leaf: UUID | None = None

    def branch(self, leaf: UUID | None) -> list[UUID]:
        """Return it from the leaf upwards."""
        found = []
        while leaf is not None:
            found.append(leaf)
            leaf = self.parents[leaf]
        return found

    def replies(self, parent: UUID | None) -> list[UUID]:
        return [each for each, above in self.parents.items() if above == parent]

    def newest_below(self, message: UUID) -> UUID:
        return next(each for each in reversed(self.parents) if message in self.branch(each))

    def grow(self, exchange: Exchange, parent: UUID | None) -> None:
        if exchange.question.id not in self.parents:
            self.parents[exchange.question.id] = parent
            self.questions.append(exchange.question.id)
        self.parents[exchange.answer.id] = exchange.question.id
        self.answers.append(exchange.answer.id)
        self.leaf = exchange.answer.id


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(step, min_size=1, max_size=10), st.integers(1, 3))
async def test_every_branch_is_listed_as_it_was_written(
    chat: Chat, steps: list[tuple[str, int]], page_size: int
) -> None:
    chat.model.script = ["An answer."]
    tree, conversation_id = Tree(), await chat.conversation()

    for what, number in steps:
        await _take(chat, tree, conversation_id, what, number)
        assert [each.id for each in await _listed(chat, conversation_id)] == tree.branch(tree.leaf)

    conversation = await _conversation(chat, conversation_id)
    everything = await _listed(chat, conversation_id, every_branch=True)
    assert [(each.id, each.parent_id) for each in reversed(everything)] == list(tree.parents.items())
    assert [each.position for each in reversed(everything)] == list(range(1, len(everything) + 1))
    for message in everything:
        listed = await _listed(chat, conversation_id, leaf_id=message.id)
        assert [each.id for each in listed] == tree.branch(message.id)
        count = await chat.a.service.message_count(chat.viewer, conversation.id, leaf_id=message.id)
        assert count == len(listed)
    places = [(conversation_id, parent) for parent in (None, *tree.parents)]
    assert await chat.a.service.replies(chat.viewer, places) == {
        place: tree.replies(place[1]) for place in places if tree.replies(place[1])
    }
    assert await _paged(chat, conversation, page_size, from_end=False) == tree.branch(tree.leaf)
    assert await _paged(chat, conversation, page_size, from_end=True) == tree.branch(tree.leaf)


async def _take(chat: Chat, tree: Tree, conversation_id: UUID, what: str, number: int) -> None:
    service, viewer = chat.a.service, chat.viewer
    if what == "ask" or not tree.answers:
        exchange = await service.send(viewer, conversation_id, "A question?")
        tree.grow(exchange, tree.leaf)
    elif what == "follow":
        parent = _chosen(tree.answers, number)
        exchange = await service.send(viewer, conversation_id, "A question?", parent_id=parent)
        tree.grow(exchange, parent)
    elif what == "edit":
        edited = _chosen(tree.questions, number)
        exchange = await service.edit(viewer, edited, "In other words?")
        assert exchange.question.id != edited
        tree.grow(exchange, tree.parents[edited])
    elif what == "again":
        answer = _chosen(tree.answers, number)
        exchange = await service.regenerate(viewer, answer)
        assert exchange.question.id == tree.parents[answer]
        assert exchange.answer.id != answer
        tree.grow(exchange, None)
    else:
        message = _chosen(list(tree.parents), number)
        await ConversationService(chat.database).select_branch(viewer, message)
        tree.leaf = tree.newest_below(message)
        return
    await chat.watch(exchange.answer.id)


def _chosen(messages: Sequence[UUID], number: int) -> UUID:
    return messages[-1 - number % len(messages)]


async def _conversation(chat: Chat, conversation_id: UUID) -> Conversation:
    (found,) = await chat.a.service.conversations(chat.viewer, [conversation_id])
    return found


async def _listed(
    chat: Chat, conversation_id: UUID, *, leaf_id: UUID | None = None, every_branch: bool = False
) -> Sequence[Message]:
    page = await chat.a.service.message_page(
        chat.viewer,
        conversation_id,
        PageRequest(100),
        leaf_id=leaf_id,
        every_branch=every_branch,
    )
    assert (page.has_next, page.has_previous) == (False, False)
    return page.rows


async def _paged(chat: Chat, conversation: Conversation, size: int, *, from_end: bool) -> list[UUID]:
    """Return the active branch, newest first, read page by page from one of its ends."""
    found: list[UUID] = []
    request = PageRequest(size, from_end=from_end)
    while True:
        page = await chat.a.service.message_page(chat.viewer, conversation.id, request)
        ids = [row.id for row in page.rows]
        found = [*ids, *found] if from_end else [*found, *ids]
        if not (page.has_previous if from_end else page.has_next):
            return found
        request = (
            PageRequest(size, before=page.rows[0].position, from_end=True)
            if from_end
            else PageRequest(size, after=page.rows[-1].position)
        )
