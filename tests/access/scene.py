"""Two tenants who know nothing of each other, with an object of every kind, and everybody who may come to them.

What is written in a tenant has the tenant's word in it, and what a person wrote in private that person's word:
wherever one of them turns up, something has come through.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.tokens import INVITATION_PREFIX, KEY_PREFIX, RESET_PREFIX, new_secret, secret_hash
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import (
    ApiKey,
    ApiKeyUsage,
    AuditEntry,
    Bot,
    BotLexicon,
    Document,
    DocumentDeletion,
    Invitation,
    PasswordReset,
    User,
    UserSession,
    Workspace,
    WorkspaceMember,
)
from kyrochat.db.states import ApiKeyScope, DocumentStatus, WorkspaceRole
from kyrochat.graphql.ids import NOBODYS_ID, global_id, split_id
from tests.access.cast import ORIGIN, PASSWORD, Key, Person, Scene, Tenant, Things
from tests.access.evaluations import add_evaluations
from tests.access.from_web import add_from_web
from tests.access.talks import add_talks
from tests.access.tools import add_tool
from tests.factories import make_document


async def make_scene(database: Database) -> Scene:
    """Write it into an empty database."""
    password_hash = await _hashed()
    administrator = await _make_person(database, "root", password_hash, is_admin=True)
    host = await _make_person(database, "host", password_hash)
    link = await _add_invitations(database, administrator, host)
    ours = await _make_tenant(database, "kingfisher", password_hash, link)
    theirs = await _make_tenant(database, "nightjar", password_hash, link)
    return Scene(ours, theirs, administrator)


async def _add_invitations(database: Database, administrator: Person, host: Person) -> str:
    """Add an invitation to the server, and one to a host whom nobody else visits; return its token."""
    link, tomorrow = new_secret(INVITATION_PREFIX), datetime.now(UTC) + timedelta(days=1)
    _, workspace_id = split_id(host.things["Personal"]) or ("", NOBODYS_ID)
    to_server = Invitation(
        created_by=administrator.user_id,
        expires_at=tomorrow,
        token_hash=new_id().bytes,
        email="somebody@example.org",
    )
    to_host = Invitation(
        created_by=host.user_id, expires_at=tomorrow, token_hash=secret_hash(link), workspace_id=workspace_id
    )
    async with database.begin([workspace_id], administers=True) as session:
        session.add_all([to_server, to_host])
    return link


async def _hashed() -> str:
    passwords = Passwords()
    try:
        return await passwords.hash(PASSWORD)
    finally:
        passwords.close()


async def _make_person(database: Database, name: str, password_hash: str, *, is_admin: bool = False) -> Person:
    user = User(email=f"{name}@example.org", name=name, password_hash=password_hash, is_admin=is_admin)
    personal = Workspace(name=f"{name} alone")
    async with database.begin([personal.id]) as session:
        session.add_all([user, personal])
        await session.flush()
        session.add(
            WorkspaceMember(workspace_id=personal.id, user_id=user.id, role=WorkspaceRole.OWNER, is_personal=True)
        )
        things = {**await _add_sessions(session, user), "Personal": _id("Workspace", personal.id)}
    return Person(name, user.id, things)


async def _add_sessions(session: AsyncSession, user: User) -> Things:
    """Add a session on another device, and a link for a new password."""
    link, tomorrow = new_secret(RESET_PREFIX), datetime.now(UTC) + timedelta(days=1)
    elsewhere = UserSession(
        user_id=user.id,
        refresh_hash=new_id().bytes,
        expires_at=tomorrow,
        address="192.0.2.1",
        user_agent=f"The browser of {user.name}",
    )
    session.add_all([elsewhere, PasswordReset(user_id=user.id, token_hash=secret_hash(link), expires_at=tomorrow)])
    return {"User": _id("User", user.id), "Session": _id("ActiveSession", elsewhere.id), "resetToken": link}


async def _make_tenant(database: Database, word: str, password_hash: str, link: str) -> Tenant:
    people = {
        role: await _make_person(database, f"{word}-{role.value.lower()}", password_hash) for role in WorkspaceRole
    }
    guest = await _make_person(database, f"{word}-guest", password_hash)
    # So that there is an owner left, whoever leaves.
    partner = await _make_person(database, f"{word}-partner", password_hash)
    owner = people[WorkspaceRole.OWNER]
    workspace = Workspace(name=f"The {word}'s workspace")
    roles = [
        *((person, role) for role, person in people.items()),
        (guest, WorkspaceRole.VIEWER),
        (partner, WorkspaceRole.OWNER),
    ]
    async with database.begin([workspace.id]) as session:
        session.add(workspace)
        await session.flush()
        session.add_all(
            WorkspaceMember(workspace_id=workspace.id, user_id=person.user_id, role=role) for person, role in roles
        )
    bots = [await _make_bot(database, workspace.id, word, number) for number in (0, 1)]
    private: dict[tuple[str, int], Things] = {}
    keys, shared = {}, {}
    async with database.begin([workspace.id]) as session:
        for number, (bot, document, _) in enumerate(bots):
            for person in people.values() if number == 0 else [owner]:
                made = await add_talks(session, bot, document, person.user_id, person.name)
                private[person.name, number] = {**made, "ApiKey": await _add_spare_key(session, bot, person)}
        bot, document, _ = bots[0]
        public = await add_talks(session, bot, document, owner.user_id, f"{word}-shopper", is_public=True)
        keys = await _add_keys(session, owner, bot)
        shared = await _add_shared(session, workspace.id, owner, guest, keys["key for one bot"], word)
    return Tenant(
        word,
        workspace.id,
        owner,
        {role: person for role, person in people.items() if person is not owner},
        {**shared, "Workspace": _id("Workspace", workspace.id), "invitationToken": link},
        (bots[0][2], bots[1][2]),
        private,
        public,
        keys,
    )


async def _make_bot(database: Database, workspace_id: UUID, word: str, number: int) -> tuple[Bot, Document, Things]:
    """Make a bot with a document in each state."""
    bot = Bot(
        workspace_id=workspace_id,
        name=f"The {word} {number}",
        description=f"Knows the {word}.",
        instructions=f"Mind the {word}.",
        greeting=f"The {word} greets you.",
        suggested_questions=[f"Where is the {word}?"],
    )
    async with database.begin([workspace_id]) as session:
        session.add(bot)
        await session.flush()
        await session.refresh(bot)
        session.add(BotLexicon(workspace_id=workspace_id, bot_id=bot.id, frequencies=b""))
    note = f"# The river {number}\n\nThe {word} sleeps in the bank of the river. It is blue."
    document = await make_document(database, bot, note, f"The book of the {word}")
    of_bot: dict[str, Any] = {"workspace_id": workspace_id, "bot_id": bot.id}
    states = (DocumentStatus.FAILED, DocumentStatus.QUEUED)
    others = [
        Document(
            **of_bot,
            title=f"A {state} {word}",
            url=f"https://{word}.example/",
            media_type="text/plain",
            content_hash=new_id().bytes,
            status=state,
            failure=f"No {word} in it." if state is DocumentStatus.FAILED else None,
        )
        for state in states
    ]
    receipt = DocumentDeletion(document_id=new_id(), **of_bot)
    async with database.begin([workspace_id]) as session:
        session.add_all([*others, receipt])
    from_web = await add_from_web(database, of_bot, word)
    evaluations = await add_evaluations(database, of_bot, document, word)
    tool = await add_tool(database, of_bot, word)
    failed, queued = others
    things = {
        "Bot": _id("Bot", bot.id),
        "Document": _id("Document", document.id),
        "FailedDocument": _id("Document", failed.id),
        "QueuedDocument": _id("Document", queued.id),
        "DeletedDocument": _id("Document", receipt.document_id),
        **from_web,
        **evaluations,
        **tool,
    }
    return bot, document, things


async def _add_keys(session: AsyncSession, owner: Person, bot: Bot) -> dict[str, Key]:
    """Add a key of each scope, one for a bot alone, and one for browsers."""
    wanted: dict[str, tuple[list[ApiKeyScope], UUID | None, list[str]]] = {
        **{f"key {scope}": ([scope], None, []) for scope in ApiKeyScope},
        "key for one bot": ([ApiKeyScope.ADMIN], bot.id, []),
        "key for browsers": ([ApiKeyScope.CHAT], bot.id, [ORIGIN]),
    }
    keys = {}
    for name, (scopes, bot_id, origins) in wanted.items():
        secret = new_secret(KEY_PREFIX)
        row = ApiKey(
            workspace_id=bot.workspace_id,
            created_by=owner.user_id,
            name=name,
            prefix=secret[:12],
            secret_hash=secret_hash(secret),
            scopes=[scope.value for scope in scopes],
            bot_id=bot_id,
            allowed_origins=origins,
        )
        session.add(row)
        headers = {"Authorization": f"Bearer {secret}"} | ({"Origin": ORIGIN} if origins else {})
        keys[name] = Key(row.id, frozenset(scopes), headers, bot_id)
    return keys


async def _add_spare_key(session: AsyncSession, bot: Bot, person: Person) -> str:
    """Add a key that a person made for a bot, and that nobody calls with; return its id."""
    secret = new_secret(KEY_PREFIX)
    row = ApiKey(
        workspace_id=bot.workspace_id,
        created_by=person.user_id,
        name=f"A key of {person.name}",
        prefix=secret[:12],
        secret_hash=secret_hash(secret),
        scopes=[ApiKeyScope.READ.value],
        bot_id=bot.id,
    )
    session.add(row)
    await session.flush()
    used: dict[str, Any] = {"api_key_id": row.id, "workspace_id": bot.workspace_id}
    session.add(ApiKeyUsage(**used, day=datetime.now(UTC).date(), tokens=7))
    return _id("ApiKey", row.id)


async def _add_shared(
    session: AsyncSession, workspace_id: UUID, owner: Person, guest: Person, key: Key, word: str
) -> Things:
    """Add what belongs to the workspace as a whole."""
    invitation = Invitation(
        workspace_id=workspace_id,
        created_by=owner.user_id,
        email=f"{word}-invited@example.org",
        token_hash=new_id().bytes,
        expires_at=datetime.now(UTC) + timedelta(days=7),
    )
    entry = AuditEntry(
        workspace_id=workspace_id,
        act="BOT_CHANGED",
        actor_id=owner.user_id,
        api_key_id=key.id,
        subject_id=guest.user_id,
        object_type="Bot",
        object_id=key.bot_id,
        address="192.0.2.1",
        details={"fields": [word]},
    )
    session.add_all([invitation, entry])
    await session.flush()
    return {
        "Member": _id("User", guest.user_id),
        "Invitation": _id("Invitation", invitation.id),
        "AuditEntry": _id("AuditEntry", entry.id),
    }


def _id(kind: str, row_id: UUID) -> str:
    return str(global_id(kind, row_id))
