"""Row-level security, the second net between tenants: on every table, under both roles, on every pooled connection."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlmodel import select

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.access import refuse_to_bypass
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database, widen
from kyrochat.db.models import (
    AnswerEvent,
    AnswerLease,
    AnswerRating,
    AnswerSearch,
    ApiKey,
    ApiKeyUsage,
    AuditEntry,
    Bot,
    BotLexicon,
    BotTool,
    Chunk,
    ChunkLex,
    ChunkSalts,
    ChunkVector,
    Citation,
    Conversation,
    ConversationShare,
    Crawl,
    CrawlPage,
    Document,
    DocumentDeletion,
    Evaluation,
    EvaluationQuestion,
    EvaluationResult,
    Invitation,
    Message,
    QuestionSet,
    VectorSet,
    WebPage,
)
from kyrochat.db.states import VectorSetState
from tests.factories import make_bot, make_document, make_viewer

# They are read before a workspace is known, or across workspaces by sweeps, and hold ids only.
OPEN_TABLES = {"jobs", "answer_leases", "workspace_members"}
# A vector lives and dies with its chunk and is found through its document only.
SINGLE_COLUMN_KEYS = {"chunk_lex -> chunks", "chunk_salts -> chunk_lex", "chunk_vec -> chunks"}


async def run(database: Database, statement: str, *workspaces: UUID) -> list[Any]:
    async with database.begin(workspaces) as session:
        connection = await session.connection()
        # Without a name for its terms that table shows nothing to anybody; here it shall tell of its other policy.
        await connection.execute(text("SELECT set_config('kyrochat.salts', '{7}', true)"))
        result = await connection.execute(text(statement))
        return list(result.all()) if result.returns_rows else [result.rowcount]


async def count(database: Database, table: str, *workspaces: UUID) -> int:
    [(number,)] = await run(database, f"SELECT count(*) FROM {table}", *workspaces)
    return int(number)


@dataclass(frozen=True)
class Tenant:
    """Somebody with at least one row in every table."""

    viewer: Viewer
    bot: Bot
    document: Document
    conversation: Conversation
    message: Message
    crawl: Crawl
    vectors: VectorSet
    questions: QuestionSet

    @property
    def workspace_id(self) -> UUID:
        return self.viewer.default_workspace_id


async def make_tenant(database: Database, email: str) -> Tenant:
    viewer = await make_viewer(database, email)
    bot = await make_bot(database, viewer)
    document = await make_document(database, bot, "The Rhine is 1,233 km long.", tags=["rivers"])
    workspace_id = viewer.default_workspace_id
    async with database.begin([workspace_id]) as session:
        conversation = Conversation(workspace_id=workspace_id, bot_id=bot.id, user_id=viewer.user_id)
        message = Message(workspace_id=workspace_id, conversation_id=conversation.id, position=1, text="Hi?")
        of_key = ApiKey(
            workspace_id=workspace_id, created_by=viewer.user_id, secret_hash=new_id().bytes, scopes=["READ"]
        )
        session.add_all([of_key, AuditEntry(workspace_id=workspace_id, act="BOT_CREATED")])
        session.add(
            Invitation(
                workspace_id=workspace_id,
                created_by=viewer.user_id,
                token_hash=new_id().bytes,
                expires_at=datetime.now(UTC) + timedelta(days=1),
            )
        )
        session.add_all([conversation, BotLexicon(workspace_id=workspace_id, bot_id=bot.id, frequencies=b"")])
        crawl = Crawl(workspace_id=workspace_id, bot_id=bot.id, url="https://a.example/", max_pages=1, max_depth=0)
        session.add_all(
            [crawl, WebPage(document_id=document.id, workspace_id=workspace_id, bot_id=bot.id, address=crawl.url)]
        )
        session.add(DocumentDeletion(document_id=new_id(), workspace_id=workspace_id))
        session.add(BotTool(workspace_id=workspace_id, bot_id=bot.id, name="orders", sealed_headers=b""))
        questions = QuestionSet(workspace_id=workspace_id, bot_id=bot.id, name="Rivers")
        session.add(questions)
        vectors = VectorSet(workspace_id=workspace_id, bot_id=bot.id, scheme="compass", dimensions=2)
        session.add(vectors)
        await session.flush()
        of_chunk: dict[str, Any] = {"document_id": document.id, "version": 1, "workspace_id": workspace_id}
        [chunk_id] = (await session.exec(select(Chunk.id).where(Chunk.document_id == document.id))).all()
        session.add(ChunkVector(chunk_id=chunk_id, set_id=vectors.id or 0, embedding=[1.0, 0.0], **of_chunk))
        [lex] = (await session.exec(select(ChunkLex))).all()
        session.add(ChunkSalts(workspace_id=workspace_id, chunk_id=lex.chunk_id, encoding=lex.encoding, salts=[7]))
        of_set: dict[str, Any] = {"workspace_id": workspace_id, "question_set_id": questions.id}
        question, evaluation = EvaluationQuestion(**of_set, text="How long?"), Evaluation(**of_set, bot_id=bot.id)
        session.add_all([question, evaluation])
        await session.flush()
        session.add(EvaluationResult(workspace_id=workspace_id, evaluation_id=evaluation.id, question_id=question.id))
        session.add(ApiKeyUsage(api_key_id=of_key.id, workspace_id=workspace_id, day=date(2026, 1, 1), tokens=7))
        session.add_all([message, CrawlPage(crawl_id=crawl.id, workspace_id=workspace_id, address=crawl.url, depth=0)])
        await session.flush()
        of_message: dict[str, Any] = {"workspace_id": workspace_id, "message_id": message.id}
        session.add(AnswerEvent(**of_message, sequence=1, kind="text", data={}))
        session.add(
            ConversationShare(
                workspace_id=workspace_id,
                conversation_id=conversation.id,
                leaf_id=message.id,
                token_hash=new_id().bytes,
            )
        )
        session.add(AnswerRating(**of_message, bot_id=bot.id, user_id=viewer.user_id))
        session.add(AnswerSearch(**of_message, sequence=1, place=1, trace={}))
        session.add(AnswerLease(**of_message, token=new_id(), leased_until=datetime.now(UTC)))
        session.add(
            Citation(**of_message, number=1, document_id=document.id, document_version=1, start=0, end=3, quote="The")
        )
    return Tenant(viewer, bot, document, conversation, message, crawl, vectors, questions)


@pytest.fixture
async def ada(database: Database) -> Tenant:
    return await make_tenant(database, "ada@example.com")


@pytest.fixture
async def bob(database: Database) -> Tenant:
    return await make_tenant(database, "bob@example.com")


@pytest.fixture(params=["app", "worker"])
async def either(request: pytest.FixtureRequest, urls: DatabaseUrls) -> AsyncGenerator[Database, None]:
    """A pool under each of the roles that serve."""
    opened = open_database(getattr(urls, request.param))
    yield opened
    await opened.close()


async def tenant_tables(database: Database) -> list[str]:
    """All tables with a `workspace_id` that the role may read, as the database knows them: a new one too."""
    rows = await run(
        database,
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attname = 'workspace_id'"
        " AND has_table_privilege(pg_class.oid, 'SELECT') ORDER BY relname",
    )
    return [name for (name,) in rows if name not in OPEN_TABLES]


async def test_every_table_with_a_workspace_is_confined_also_for_its_owner(database: Database) -> None:
    tables = await tenant_tables(database)

    rows = await run(
        database,
        "SELECT relname, relrowsecurity, relforcerowsecurity, policies.kinds, policies.whose FROM pg_class"
        " LEFT JOIN (SELECT tablename, array_agg(cmd) AS kinds, array_agg(roles::text) AS whose,"
        "   bool_and(permissive = 'PERMISSIVE' AND with_check IS NULL"
        "     AND qual LIKE '%workspace_id = ANY%' AND qual LIKE '%kyrochat.workspaces%') AS ours"
        "   FROM pg_policies WHERE policyname = tablename || '_of_workspace' GROUP BY tablename) AS policies"
        "   ON tablename = relname AND ours"
        f" WHERE relnamespace = 'public'::regnamespace AND relname = ANY('{{{','.join(tables)}}}') ORDER BY relname",
    )

    assert len(tables) >= 15
    assert [tuple(row) for row in rows] == [(table, True, True, ["ALL"], ["{public}"]) for table in tables]


async def test_beside_the_workspace_only_a_secret_and_the_sites_administrators_open_rows(database: Database) -> None:
    rows = await run(
        database,
        "SELECT policyname, cmd, coalesce(qual, with_check) FROM pg_policies"
        " WHERE policyname <> tablename || '_of_workspace' ORDER BY policyname",
    )

    told = {(name, command): condition for name, command, condition in rows}
    assert set(told) == {
        ("api_keys_by_secret", "SELECT"),
        ("audit_entries_for_site", "SELECT"),
        ("audit_entries_of_site", "INSERT"),
        ("chunk_salts_named", "SELECT"),
        ("conversation_shares_by_secret", "SELECT"),
        ("invitations_by_token", "ALL"),
        ("invitations_of_site", "ALL"),
    }
    assert "secret_hash = " in told["api_keys_by_secret", "SELECT"]
    assert "token_hash = " in told["conversation_shares_by_secret", "SELECT"]
    assert "token_hash = " in told["invitations_by_token", "ALL"]
    assert "workspace_id IS NULL" in told["invitations_of_site", "ALL"]


async def test_a_secret_opens_its_own_row_and_no_other(database: Database, ada: Tenant, bob: Tenant) -> None:
    async with database.begin([bob.workspace_id]) as session:
        key = (await session.exec(select(ApiKey))).one()
        invitation = (await session.exec(select(Invitation))).one()

    async with database.begin(credential=key.secret_hash) as session:
        keys, invitations = (await session.exec(select(ApiKey))).all(), (await session.exec(select(Invitation))).all()
    async with database.begin(credential=invitation.token_hash) as session:
        by_token = (await session.exec(select(Invitation))).all()
    async with database.begin(credential=b"x") as session:
        by_guess = [*(await session.exec(select(ApiKey))).all(), *(await session.exec(select(Invitation))).all()]

    assert [row.id for row in keys] == [key.id]
    assert invitations == []
    assert [row.id for row in by_token] == [invitation.id]
    assert by_guess == []


async def test_foreign_keys_between_tenants_rows_include_the_workspace(database: Database) -> None:
    rows = await run(
        database,
        "SELECT conrelid::regclass || ' -> ' || confrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
        " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = conrelid AND attname = 'workspace_id')"
        " AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = confrelid AND attname = 'workspace_id')",
    )

    plain = {pair for pair, definition in rows if definition.count("workspace_id") < 2}
    assert len(rows) >= 10
    assert plain == SINGLE_COLUMN_KEYS


async def test_without_a_workspace_nothing_is_seen_and_with_one_only_its_rows(
    either: Database, ada: Tenant, bob: Tenant
) -> None:
    seen = {}
    for table in await tenant_tables(either):
        seen[table] = (
            await count(either, table),
            await count(either, table, ada.workspace_id),
            await count(either, f"{table} WHERE workspace_id = '{bob.workspace_id}'", ada.workspace_id),
            await count(either, table, ada.workspace_id, bob.workspace_id),
        )

    assert seen == dict.fromkeys(await tenant_tables(either), (0, 1, 0, 2))


async def test_another_tenants_rows_cannot_be_written_changed_moved_or_deleted(
    either: Database, ada: Tenant, bob: Tenant
) -> None:
    for table in await tenant_tables(either):
        foreign = f"jsonb_build_object('workspace_id', '{bob.workspace_id}')"
        with pytest.raises(ProgrammingError, match="row-level security"):
            await run(
                either,
                f"INSERT INTO {table} SELECT (jsonb_populate_record(mine, {foreign})).* FROM {table} AS mine",
                ada.workspace_id,
            )
        # The audit log's own rule comes first.
        refused = "append-only" if table == "audit_entries" else "row-level security"
        with pytest.raises(ProgrammingError, match=refused):
            await run(either, f"UPDATE {table} SET workspace_id = '{bob.workspace_id}'", ada.workspace_id)
        his = f"WHERE workspace_id = '{bob.workspace_id}'"
        changed = await run(either, f"UPDATE {table} SET workspace_id = workspace_id {his}", ada.workspace_id)
        deleted = await run(either, f"DELETE FROM {table} {his}", ada.workspace_id)
        assert (table, changed, deleted) == (table, [0], [0])

    counts = {table: await count(either, table, bob.workspace_id) for table in await tenant_tables(either)}
    assert counts == dict.fromkeys(counts, 1)
    assert len(counts) >= 9


async def test_a_row_cannot_be_hung_on_another_tenants(database: Database, ada: Tenant, bob: Tenant) -> None:
    """Foreign key checks see everything, so nothing but the keys themselves refuses this."""
    own: dict[str, Any] = {"workspace_id": ada.workspace_id}
    await run(database, "DELETE FROM web_pages", bob.workspace_id)  # a document has one page, and his would be it
    foreign = [
        Document(**own, bot_id=bob.bot.id, content_hash=b"x"),
        WebPage(**own, document_id=bob.document.id, bot_id=ada.bot.id, address="https://b.example/"),
        Crawl(**own, bot_id=bob.bot.id, url="https://b.example/", max_pages=1, max_depth=0),
        CrawlPage(**own, crawl_id=bob.crawl.id, address="https://b.example/", depth=0),
        CrawlPage(**own, crawl_id=ada.crawl.id, address="https://b.example/", depth=0, document_id=bob.document.id),
        VectorSet(**own, bot_id=bob.bot.id, scheme="other", state=VectorSetState.RETIRED),
        ChunkVector(**own, chunk_id=new_id(), set_id=bob.vectors.id or 0, document_id=ada.document.id, version=1),
        QuestionSet(**own, bot_id=bob.bot.id, name="His"),
        EvaluationQuestion(**own, question_set_id=bob.questions.id, text="His?"),
        Evaluation(**own, bot_id=ada.bot.id, question_set_id=bob.questions.id),
        Conversation(**own, bot_id=bob.bot.id, user_id=ada.viewer.user_id),
        Message(**own, conversation_id=bob.conversation.id, position=2),
        Message(**own, conversation_id=ada.conversation.id, parent_id=bob.message.id, position=2),
        AnswerEvent(**own, message_id=bob.message.id, sequence=2, kind="text", data={}),
        Citation(**own, message_id=bob.message.id, number=2, document_version=1, start=0, end=1, quote="T"),
        Citation(
            **own,
            message_id=ada.message.id,
            number=2,
            document_id=bob.document.id,
            document_version=1,
            start=0,
            end=1,
            quote="T",
        ),
    ]

    for row in foreign:
        with pytest.raises(IntegrityError, match="_fkey"):
            async with database.begin([ada.workspace_id]) as session:
                session.add(row)


async def test_a_transaction_that_is_widened_sees_more_and_the_next_one_does_not(
    urls: DatabaseUrls, ada: Tenant, bob: Tenant
) -> None:
    pool = open_database(urls.app, pool_size=1)
    async with pool.begin([ada.workspace_id]) as session:
        await widen(session, bob.workspace_id)
        widened = set((await session.exec(select(Bot.id))).all())
        async with session.begin_nested():
            nested = set((await session.exec(select(Bot.id))).all())

    assert widened == nested == {ada.bot.id, bob.bot.id}
    assert await count(pool, "bots") == 0
    assert await count(pool, "bots", ada.workspace_id) == 1
    await pool.close()


async def test_the_roles_that_serve_pass_the_check_for_bypassing(either: Database) -> None:
    await refuse_to_bypass(either)
