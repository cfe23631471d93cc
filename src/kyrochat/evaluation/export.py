"""What an export of somebody's data has of evaluation: question sets and evaluations of the workspaces that he owns."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from kyrochat.accounts.viewer import Viewer
from kyrochat.accounts.zip_stream import Entry, as_json, json_entry, json_list
from kyrochat.db.engine import Database
from kyrochat.db.models import Evaluation, QuestionSet
from kyrochat.db.states import WorkspaceRole
from kyrochat.evaluation import repository

BATCH = 100


@dataclass(frozen=True, slots=True)
class EvaluationExport:
    """The part of an export that evaluation is. Questions in other people's words are theirs, and left out."""

    database: Database

    async def __call__(self, viewer: Viewer) -> AsyncGenerator[Entry, None]:
        """Yield each set with its questions, and each evaluation with its results."""
        owned = [each for each, role in viewer.workspaces.items() if role is WorkspaceRole.OWNER]
        for workspace_id in sorted(owned):
            folder = f"workspaces/{workspace_id}"
            async with self.database.begin([workspace_id]) as session:
                # A bot has at most 50 sets and 200 evaluations.
                sets = await repository.sets_in(session, workspace_id)
                evaluations = await repository.evaluations_in(session, workspace_id)
            for made in sets:
                yield Entry(f"{folder}/question-sets/{made.id}.json", self._set(made, viewer.user_id))
            for evaluation in evaluations:
                yield json_entry(
                    f"{folder}/evaluations/{evaluation.id}.json", await self._evaluation(evaluation, viewer)
                )

    async def _set(self, made: QuestionSet, user_id: UUID) -> AsyncGenerator[bytes, None]:
        about = {"id": made.id, "botId": made.bot_id, "name": made.name, "createdAt": made.created_at}
        yield b'{"questionSet": ' + as_json(about) + b',\n"questions": '
        async for piece in json_list(self._questions(made, user_id)):
            yield piece
        yield b"}\n"

    async def _questions(self, made: QuestionSet, user_id: UUID) -> AsyncGenerator[object, None]:
        after = None
        while True:
            async with self.database.begin([made.workspace_id]) as session:
                rows = await repository.questions_after(session, made.id, after, BATCH)
            for row in rows:
                if row.asked_by in (None, user_id):
                    yield {"id": row.id, "text": row.text, "documents": row.documents, "quotes": row.quotes}
            if len(rows) < BATCH:
                return
            after = rows[-1].id

    async def _evaluation(self, evaluation: Evaluation, viewer: Viewer) -> dict[str, object]:
        async with self.database.begin([evaluation.workspace_id]) as session:
            pairs = await repository.all_results(session, evaluation.id)
        return {
            "id": evaluation.id,
            "botId": evaluation.bot_id,
            "questionSetId": evaluation.question_set_id,
            "name": evaluation.name,
            "status": evaluation.status,
            "settings": evaluation.used,
            "figures": evaluation.figures,
            "createdAt": evaluation.created_at,
            "completedAt": evaluation.completed_at,
            "results": [
                {"questionId": row.question_id, "measures": row.measures, "milliseconds": row.milliseconds}
                for row, question in pairs
                if question.asked_by in (None, viewer.user_id)
            ],
        }
