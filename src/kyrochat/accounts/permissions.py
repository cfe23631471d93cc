"""Who may do what: each act with the role and the key's scope that it takes. The documented table is made from this."""

from enum import Enum

from kyrochat.db.states import ApiKeyScope, WorkspaceRole

# Each role may do what the ones before it may.
ROLES = (WorkspaceRole.VIEWER, WorkspaceRole.EDITOR, WorkspaceRole.OWNER)

_VIEWER, _EDITOR, _OWNER = ROLES
_READ, _CHAT, _INGEST, _ADMIN = ApiKeyScope.READ, ApiKeyScope.CHAT, ApiKeyScope.INGEST, ApiKeyScope.ADMIN
_ANY_KEY = frozenset(ApiKeyScope)
_NO_KEY: frozenset[ApiKeyScope] = frozenset()


class Act(Enum):
    """What can be done in a workspace, the least role that may, and the scopes of which a key must have one.

    Without scopes no key may, whatever it has: a stolen key must not make itself at home.
    """

    SEE_WORKSPACE = ("see the workspace", _VIEWER, frozenset({_READ, _INGEST, _ADMIN}))
    SEE_BOTS = ("see bots", _VIEWER, _ANY_KEY)
    SEE_SETTINGS = ("see how bots are set up", _VIEWER, frozenset({_READ, _ADMIN}))
    MANAGE_BOTS = ("create, change and delete bots", _EDITOR, frozenset({_ADMIN}))
    MANAGE_TOOLS = ("see and change the tools of bots", _OWNER, _NO_KEY)
    READ_DOCUMENTS = ("read documents", _VIEWER, frozenset({_READ, _INGEST, _ADMIN}))
    SEARCH = ("search", _VIEWER, frozenset({_READ, _ADMIN}))
    REPLAY_SEARCHES = ("make searches of own answers again", _VIEWER, frozenset({_ADMIN}))
    INGEST = ("add, retry and delete documents", _EDITOR, frozenset({_INGEST, _ADMIN}))
    EVALUATE = ("evaluate bots", _EDITOR, frozenset({_ADMIN}))
    CHAT = ("chat", _VIEWER, frozenset({_CHAT, _ADMIN}))
    READ_FEEDBACK = ("read what users think of answers", _EDITOR, frozenset({_ADMIN}))
    SEE_MEMBERS = ("see members", _VIEWER, frozenset({_ADMIN}), True)
    MANAGE_MEMBERS = ("invite, change and remove members", _OWNER, _NO_KEY)
    MANAGE_KEYS = ("create, see and revoke API keys", _OWNER, _NO_KEY)
    MANAGE_WORKSPACE = ("rename and delete the workspace", _OWNER, _NO_KEY)
    READ_AUDIT_LOG = ("read the audit log", _OWNER, frozenset({_ADMIN}), True)

    def __init__(
        self, words: str, role: WorkspaceRole, scopes: frozenset[ApiKeyScope], is_beyond_bots: bool = False
    ) -> None:
        self.words = words
        self.role = role
        self.scopes = scopes
        # Of the workspace as a whole: not for keys that are for one bot of it.
        self.is_beyond_bots = is_beyond_bots

    def allows(self, role: WorkspaceRole) -> bool:
        """Say whether members of that role may."""
        return ROLES.index(role) >= ROLES.index(self.role)
