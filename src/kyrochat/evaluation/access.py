"""Who may evaluate what."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.db.models import Bot, Evaluation, QuestionSet
from kyrochat.db.tenancy import Reach
from kyrochat.errors import NotFound
from kyrochat.evaluation import repository


async def bot_to_evaluate(session: AsyncSession, viewer: Viewer, bot_id: UUID) -> Bot:
    """Return a bot, and keep it from being deleted until the transaction ends.

    Raises:
        NotFound, Forbidden: the viewer has no such bot, or may not evaluate it.
    """
    bot = await bots.get(session, bot_id, reach=viewer.reach)
    if bot is None:
        raise NotFound("bot")
    viewer.must(Act.EVALUATE, bot.workspace_id)
    if not await bots.keep(session, bot.id, reach=viewer.reach):
        raise NotFound("bot")
    return bot


async def set_to_ask(session: AsyncSession, viewer: Viewer, set_id: UUID) -> QuestionSet:
    """Return a question set, and keep it from being deleted until the transaction ends.

    Raises:
        NotFound, Forbidden: as `set_to_change`.
    """
    found = await set_to_change(session, viewer, set_id)
    if not await repository.keep_set(session, found.id):
        raise NotFound("question set")
    return found


async def set_to_change(session: AsyncSession, viewer: Viewer, set_id: UUID) -> QuestionSet:
    """Return a question set.

    Raises:
        NotFound, Forbidden: the viewer has no such set, or may not evaluate its bot.
    """
    found = await repository.question_sets(session, [set_id], reach=viewer.reach)
    if not found:
        raise NotFound("question set")
    viewer.must(Act.EVALUATE, found[0].workspace_id)
    return found[0]


async def readable(session: AsyncSession, viewer: Viewer, bot_id: UUID) -> Reach:
    """Return what the viewer may read of a bot's evaluation: nothing if he has no such bot.

    Raises:
        Forbidden: he may not evaluate it.
    """
    viewer.must(Act.EVALUATE)
    bot = await bots.get(session, bot_id, reach=viewer.reach)
    if bot is None:
        return Reach(())
    viewer.must(Act.EVALUATE, bot.workspace_id)
    return viewer.reach


def check_all(viewer: Viewer, rows: Sequence[QuestionSet] | Sequence[Evaluation]) -> None:
    """Check that the viewer may evaluate where the rows are.

    Raises:
        Forbidden: he may not.
    """
    for row in rows:
        viewer.must(Act.EVALUATE, row.workspace_id)
