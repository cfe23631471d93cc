"""What each field of the schema takes: the scopes that open it to API keys, and who may use it at all.

Root fields are closed unless they are named here, and so are objects with an id for `node`. Any other field is as open
as its type, and a type without a line of its own as open as the field that leads to it. The documented table of
permissions, and the test that walks the schema, are made from this too.
"""

from collections.abc import Mapping
from enum import Enum

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.states import ApiKeyScope


class Who(Enum):
    """Who may use a field for which no act in a workspace stands."""

    ANYBODY = "anybody, signed in or not"
    SIGNED_IN = "whoever is signed in, and any key"
    PERSON = "a person who is signed in, and no key"
    ADMINISTRATOR = "an administrator of this server, in person"


Permission = Act | Who
ROOT_TYPES = ("Query", "Mutation", "Subscription")

ROOT_FIELDS: Mapping[str, Permission] = {
    "Query.serverInfo": Who.ANYBODY,
    "Query.me": Who.PERSON,
    "Query.sessions": Who.PERSON,
    "Query.users": Who.ADMINISTRATOR,
    "Query.node": Who.SIGNED_IN,
    "Query.nodes": Who.SIGNED_IN,
    "Query.workspaces": Act.SEE_WORKSPACE,
    "Query.workspace": Act.SEE_WORKSPACE,
    "Query.apiKeys": Act.MANAGE_KEYS,
    "Query.auditLog": Act.READ_AUDIT_LOG,
    "Query.invitation": Who.ANYBODY,
    "Query.siteInvitations": Who.ADMINISTRATOR,
    "Query.bot": Act.SEE_BOTS,
    "Query.bots": Act.SEE_BOTS,
    "Query.document": Act.READ_DOCUMENTS,
    "Query.documentDeletion": Act.READ_DOCUMENTS,
    "Query.ingestion": Act.READ_DOCUMENTS,
    "Query.crawl": Act.READ_DOCUMENTS,
    "Query.crawls": Act.READ_DOCUMENTS,
    "Query.conversation": Act.CHAT,
    "Query.conversations": Act.CHAT,
    "Query.exportConversation": Act.CHAT,
    "Query.sharedConversation": Who.ANYBODY,
    "Query.search": Act.SEARCH,
    "Query.explainSearch": Act.SEARCH,
    "Query.replaySearch": Act.REPLAY_SEARCHES,
    "Query.questionSet": Act.EVALUATE,
    "Query.questionSets": Act.EVALUATE,
    "Query.evaluation": Act.EVALUATE,
    "Query.evaluations": Act.EVALUATE,
    "Query.compareEvaluations": Act.EVALUATE,
    "Mutation.register": Who.ANYBODY,
    "Mutation.login": Who.ANYBODY,
    "Mutation.refreshSession": Who.ANYBODY,
    "Mutation.refreshSocket": Who.ANYBODY,
    "Mutation.logout": Who.PERSON,
    "Mutation.createWorkspace": Who.PERSON,
    "Mutation.updateWorkspace": Act.MANAGE_WORKSPACE,
    "Mutation.deleteWorkspace": Act.MANAGE_WORKSPACE,
    "Mutation.changeMemberRole": Act.MANAGE_MEMBERS,
    "Mutation.removeMember": Act.MANAGE_MEMBERS,
    "Mutation.leaveWorkspace": Who.PERSON,
    "Mutation.createApiKey": Act.MANAGE_KEYS,
    "Mutation.revokeApiKey": Who.PERSON,
    "Mutation.endSession": Who.PERSON,
    "Mutation.logoutEverywhere": Who.PERSON,
    "Mutation.updateProfile": Who.PERSON,
    "Mutation.changePassword": Who.PERSON,
    "Mutation.changeEmail": Who.PERSON,
    "Mutation.requestPasswordReset": Who.ANYBODY,
    "Mutation.resetPassword": Who.ANYBODY,
    "Mutation.setUserDisabled": Who.ADMINISTRATOR,
    "Mutation.setUserAdmin": Who.ADMINISTRATOR,
    "Mutation.createPasswordResetLink": Who.ADMINISTRATOR,
    "Mutation.createInvitation": Act.MANAGE_MEMBERS,
    "Mutation.revokeInvitation": Act.MANAGE_MEMBERS,
    "Mutation.acceptInvitation": Who.PERSON,
    "Mutation.exportAccount": Who.PERSON,
    "Mutation.deleteAccount": Who.PERSON,
    "Mutation.createBot": Act.MANAGE_BOTS,
    "Mutation.updateBot": Act.MANAGE_BOTS,
    "Mutation.deleteBot": Act.MANAGE_BOTS,
    "Mutation.setBotTool": Act.MANAGE_TOOLS,
    "Mutation.removeBotTool": Act.MANAGE_TOOLS,
    "Mutation.addTextDocument": Act.INGEST,
    "Mutation.uploadDocument": Act.INGEST,
    "Mutation.updateDocument": Act.INGEST,
    "Mutation.retryDocument": Act.INGEST,
    "Mutation.deleteDocument": Act.INGEST,
    "Mutation.replaceTextDocument": Act.INGEST,
    "Mutation.replaceDocument": Act.INGEST,
    "Mutation.addWebDocument": Act.INGEST,
    "Mutation.refreshDocument": Act.INGEST,
    "Mutation.scheduleRefresh": Act.INGEST,
    "Mutation.crawlSite": Act.INGEST,
    "Mutation.deleteCrawl": Act.INGEST,
    "Mutation.pauseIngestion": Act.INGEST,
    "Mutation.resumeIngestion": Act.INGEST,
    "Mutation.createQuestionSet": Act.EVALUATE,
    "Mutation.createQuestionSetFromRatings": Act.EVALUATE,
    "Mutation.addQuestions": Act.EVALUATE,
    "Mutation.deleteQuestionSet": Act.EVALUATE,
    "Mutation.startEvaluation": Act.EVALUATE,
    "Mutation.deleteEvaluation": Act.EVALUATE,
    "Mutation.startConversation": Act.CHAT,
    "Mutation.sendMessage": Act.CHAT,
    "Mutation.editMessage": Act.CHAT,
    "Mutation.regenerateAnswer": Act.CHAT,
    "Mutation.stopAnswer": Act.CHAT,
    "Mutation.selectBranch": Act.CHAT,
    "Mutation.renameConversation": Act.CHAT,
    # What is shared, anybody sees: a stolen key must not do that.
    "Mutation.shareConversation": Who.PERSON,
    "Mutation.revokeShare": Who.PERSON,
    "Mutation.rateAnswer": Act.CHAT,
    "Mutation.withdrawRating": Act.CHAT,
    "Mutation.deleteConversation": Act.CHAT,
    "Subscription.answerEvents": Act.CHAT,
    "Subscription.documentProgress": Act.READ_DOCUMENTS,
    "Subscription.ingestionProgress": Act.READ_DOCUMENTS,
    "Subscription.crawlProgress": Act.READ_DOCUMENTS,
    "Subscription.evaluationProgress": Act.EVALUATE,
}

# What `node` takes for an object of each type: no less than the root field that shows it.
NODES: Mapping[str, Permission] = {
    "User": Who.PERSON,
    "ActiveSession": Who.PERSON,
    "Workspace": Act.SEE_WORKSPACE,
    "ApiKey": Who.PERSON,
    "AuditEntry": Act.READ_AUDIT_LOG,
    "Invitation": Who.PERSON,
    "Bot": Act.SEE_BOTS,
    "BotTool": Act.MANAGE_TOOLS,
    "Document": Act.READ_DOCUMENTS,
    "Crawl": Act.READ_DOCUMENTS,
    "QuestionSet": Act.EVALUATE,
    "Evaluation": Act.EVALUATE,
    "Conversation": Act.CHAT,
    "Message": Act.CHAT,
    "Share": Who.PERSON,
}

_ANY = frozenset(ApiKeyScope)
_NONE: frozenset[ApiKeyScope] = frozenset()

# What an object's fields take, wherever it was met. Whatever else leads there takes its own scopes besides.
TYPES: Mapping[str, frozenset[ApiKeyScope]] = {
    "User": _NONE,
    "ActiveSession": _NONE,
    "Person": Act.SEE_MEMBERS.scopes,
    "Member": Act.SEE_MEMBERS.scopes,
    "Invitation": Act.MANAGE_MEMBERS.scopes,
    "Workspace": Act.SEE_WORKSPACE.scopes,
    "ApiKey": Act.MANAGE_KEYS.scopes,
    "AuditEntry": Act.READ_AUDIT_LOG.scopes,
    "Bot": Act.SEE_SETTINGS.scopes,
    "Document": Act.READ_DOCUMENTS.scopes,
    "Crawl": Act.READ_DOCUMENTS.scopes,
    "CrawlPage": Act.READ_DOCUMENTS.scopes,
    "QuestionSet": Act.EVALUATE.scopes,
    "EvaluationQuestion": Act.EVALUATE.scopes,
    "Evaluation": Act.EVALUATE.scopes,
    "EvaluatedQuestion": Act.EVALUATE.scopes,
    "EvaluatedPlace": Act.EVALUATE.scopes,
    "EvaluationComparison": Act.EVALUATE.scopes,
    "Passage": Act.SEARCH.scopes,
    "Retrieval": Act.SEARCH.scopes,
    "SearchTrace": Act.SEARCH.scopes,
    "SearchCandidate": Act.SEARCH.scopes,
    "SearchedPassage": Act.SEARCH.scopes,
    "Conversation": Act.CHAT.scopes,
    "Message": Act.CHAT.scopes,
    "MessageSiblings": Act.CHAT.scopes,
    "MessageChildren": Act.CHAT.scopes,
    "Feedback": Act.CHAT.scopes,
    "Share": _NONE,
    "BotTool": _NONE,
}

# Fields that take something else than their type does.
FIELDS: Mapping[str, frozenset[ApiKeyScope]] = {
    "Workspace.members": Act.SEE_MEMBERS.scopes,
    "Workspace.invitations": Act.MANAGE_MEMBERS.scopes,
    # Addresses are for people who must know whom they let in, and with whom they deal.
    "Member.email": _NONE,
    "Person.email": _NONE,
    # A bot's face, for whoever chats with it. A key for browsers shows this to everybody, and nothing else of a bot.
    "Bot.id": Act.SEE_BOTS.scopes,
    "Bot.name": Act.SEE_BOTS.scopes,
    "Bot.description": Act.SEE_BOTS.scopes,
    "Bot.greeting": Act.SEE_BOTS.scopes,
    "Bot.suggestedQuestions": Act.SEE_BOTS.scopes,
    "Bot.workspace": Act.SEE_WORKSPACE.scopes,
    "Bot.documents": Act.READ_DOCUMENTS.scopes,
    "Bot.conversations": Act.CHAT.scopes,
    # How an answer was found is for those who set the bot up.
    "Message.retrieval": Act.SEARCH.scopes,
    "Conversation.shares": _NONE,
    "Bot.feedback": Act.READ_FEEDBACK.scopes,
    "Bot.tools": _NONE,
    # What a citation's link needs.
    "Document.id": _ANY,
    "Document.title": _ANY,
    "Document.url": _ANY,
    "Document.mediaType": _ANY,
}


def scopes_of(coordinate: str) -> frozenset[ApiKeyScope]:
    """Return the scopes of which a key must have one to use the field `Type.field`; none: no key can."""
    kind, _, field = coordinate.partition(".")
    if field.startswith("__"):
        return _ANY  # the schema is no secret
    if kind in ROOT_TYPES:
        permission = ROOT_FIELDS.get(coordinate)
        if isinstance(permission, Act):
            return permission.scopes
        return _ANY if permission in (Who.ANYBODY, Who.SIGNED_IN) else _NONE
    return FIELDS.get(coordinate, TYPES.get(kind, _ANY))


def must_reach(viewer: Viewer, kind: str) -> None:
    """Check that the viewer may have objects of that type by their ids.

    Raises:
        Forbidden: a key asks that the type is not open to.
    """
    permission = NODES[kind]
    if isinstance(permission, Act):
        viewer.must(permission)
    elif permission is Who.PERSON:
        viewer.must_be_person()
