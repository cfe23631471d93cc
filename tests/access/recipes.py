"""How each field is called: the one thing that a new field needs for the walk to cover it.

`The("Bot")` is a bot of whoever calls, and `tests/access/scene.py` says what else there is. Every argument that takes
an id must be in a recipe of its field, also those that may be left out. A field that creates or changes something is
called for real, so values must be valid: the walk checks that the owner succeeds.
"""

from collections.abc import Mapping

from tests.access.cast import PASSWORD
from tests.access.fields import Recipe, The

# A file in a multipart request takes the place of this null.
FILE = None
NEW_PASSWORD = "another horse, another battery"

QUERY = "Who sleeps in the bank of the river?"
TOOL = {
    "name": "new_tool",
    "description": "New.",
    "url": "https://tools.example/new",
    "parameters": {"type": "object", "properties": {}},
}
ONE_DOCUMENT = {"filter": {"documentIds": [The("Document")]}}

RECIPES: Mapping[str, list[Recipe]] = {
    "Query.serverInfo": [Recipe()],
    "Query.me": [Recipe()],
    "Query.invitation": [Recipe({"token": The("invitationToken")})],
    "Query.siteInvitations": [Recipe()],
    "Query.sessions": [Recipe()],
    "Query.users": [Recipe()],
    "Query.node": [
        Recipe({"id": The(name)}, onto=kind)
        for name, kind in {
            "User": "User",
            "Session": "ActiveSession",
            "Workspace": "Workspace",
            "ApiKey": "ApiKey",
            "AuditEntry": "AuditEntry",
            "Invitation": "Invitation",
            "Bot": "Bot",
            "BotTool": "BotTool",
            "Document": "Document",
            "Crawl": "Crawl",
            "QuestionSet": "QuestionSet",
            "Evaluation": "Evaluation",
            "Conversation": "Conversation",
            "Share": "Share",
            "Question": "Message",
            "Answer": "Message",
        }.items()
    ],
    "Query.nodes": [Recipe({"ids": [The("Bot")]}, onto="Bot")],
    "Query.workspaces": [Recipe()],
    "Query.workspace": [Recipe({"id": The("Workspace")})],
    "Query.apiKeys": [Recipe({"workspaceId": The("Workspace"), "first": 1})],
    "Query.auditLog": [
        Recipe({"workspaceId": The("Workspace")}),
        Recipe({"workspaceId": The("Workspace"), "actorId": The("User"), "objectId": The("Bot")}),
    ],
    "Query.bot": [Recipe({"id": The("Bot")})],
    "Query.bots": [Recipe({"workspaceId": The("Workspace"), "first": 1}), Recipe({"first": 1})],
    "Query.document": [Recipe({"id": The(name)}) for name in ("Document", "FailedDocument", "WebDocument")],
    "Query.crawl": [Recipe({"id": The("Crawl")})],
    "Query.crawls": [Recipe({"botId": The("Bot"), "first": 1})],
    "Query.documentDeletion": [Recipe({"documentId": The("DeletedDocument")})],
    "Query.ingestion": [Recipe({"botId": The("Bot")})],
    "Query.conversation": [Recipe({"id": The("Conversation")})],
    "Query.search": [
        Recipe({"botId": The("Bot"), "query": QUERY}),
        Recipe({"botId": The("Bot"), "query": QUERY, "settings": ONE_DOCUMENT}),
    ],
    "Query.explainSearch": [
        Recipe({"botId": The("Bot"), "query": QUERY, "settings": {"topK": 3}}),
        Recipe({"botId": The("Bot"), "query": QUERY, "settings": ONE_DOCUMENT}),
    ],
    "Query.replaySearch": [
        Recipe({"messageId": The("Answer"), "settings": {"minScore": 0.1}}),
        Recipe({"messageId": The("Answer"), "settings": ONE_DOCUMENT}),
    ],
    "Bot.documents": [Recipe({"first": 1, "filter": {"documentIds": [The("Document")]}})],
    "Query.conversations": [
        Recipe({"first": 1}),
        Recipe({"botId": The("Bot"), "workspaceId": The("Workspace"), "query": "sleep", "first": 1}),
    ],
    "Query.exportConversation": [Recipe({"id": The("Conversation"), "format": "JSON"})],
    "Query.sharedConversation": [Recipe({"token": The("shareToken")})],
    "Query.questionSet": [Recipe({"id": The("QuestionSet")})],
    "Query.questionSets": [Recipe({"botId": The("Bot"), "first": 1})],
    "Query.evaluation": [Recipe({"id": The("Evaluation")})],
    "Query.evaluations": [Recipe({"botId": The("Bot"), "first": 1})],
    "Query.compareEvaluations": [Recipe({"earlierId": The("Evaluation"), "laterId": The("OtherEvaluation")})],
    "Mutation.register": [Recipe({"input": {"email": "new@example.org", "password": PASSWORD}})],
    "Mutation.login": [Recipe({"input": {"email": The("email"), "password": PASSWORD}})],
    "Mutation.refreshSession": [Recipe({"input": {"refreshToken": The("refreshToken")}})],
    "Mutation.refreshSocket": [
        Recipe({"input": {"accessToken": The("accessToken")}}, alters=False, by_socket=True),
    ],
    "Mutation.logout": [Recipe()],
    "Mutation.endSession": [Recipe({"id": The("Session")})],
    "Mutation.logoutEverywhere": [Recipe({"input": {"keepCurrent": True}})],
    "Mutation.updateProfile": [Recipe({"input": {"name": "Renamed"}})],
    "Mutation.changePassword": [Recipe({"input": {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}})],
    "Mutation.changeEmail": [Recipe({"input": {"currentPassword": PASSWORD, "newEmail": "new@example.org"}})],
    # A mail would be written after the answer, and its rows after the next test began.
    "Mutation.requestPasswordReset": [
        Recipe({"input": {"email": The("email")}}, alters=False, problem="NotConfiguredProblem")
    ],
    "Mutation.resetPassword": [Recipe({"input": {"token": The("resetToken"), "newPassword": NEW_PASSWORD}})],
    "Mutation.setUserDisabled": [Recipe({"input": {"userId": The("Member"), "disabled": True}})],
    "Mutation.setUserAdmin": [Recipe({"input": {"userId": The("Member"), "isAdmin": True}})],
    "Mutation.createPasswordResetLink": [Recipe({"input": {"userId": The("Member")}})],
    "Mutation.createWorkspace": [Recipe({"input": {"name": "New"}})],
    "Mutation.updateWorkspace": [Recipe({"input": {"id": The("Workspace"), "name": "Renamed"}})],
    "Mutation.deleteWorkspace": [Recipe({"id": The("Workspace")})],
    "Mutation.changeMemberRole": [
        Recipe({"input": {"workspaceId": The("Workspace"), "userId": The("Member"), "role": "EDITOR"}})
    ],
    "Mutation.removeMember": [Recipe({"input": {"workspaceId": The("Workspace"), "userId": The("Member")}})],
    "Mutation.leaveWorkspace": [Recipe({"workspaceId": The("Workspace")})],
    "Mutation.createInvitation": [Recipe({"input": {"workspaceId": The("Workspace"), "role": "VIEWER"}})],
    "Mutation.revokeInvitation": [Recipe({"id": The("Invitation")})],
    "Mutation.acceptInvitation": [Recipe({"input": {"token": The("invitationToken")}})],
    "Mutation.exportAccount": [Recipe()],
    "Mutation.deleteAccount": [Recipe({"input": {"currentPassword": PASSWORD}})],
    "Mutation.createApiKey": [
        Recipe({"input": {"name": "New", "scopes": ["READ"], "workspaceId": The("Workspace"), "botId": The("Bot")}})
    ],
    "Mutation.revokeApiKey": [Recipe({"id": The("ApiKey")})],
    "Mutation.createBot": [Recipe({"input": {"name": "New", "workspaceId": The("Workspace")}})],
    "Mutation.updateBot": [Recipe({"input": {"id": The("Bot"), "name": "Renamed"}})],
    "Mutation.deleteBot": [Recipe({"id": The("Bot")})],
    "Mutation.setBotTool": [Recipe({"input": {"botId": The("Bot"), **TOOL}})],
    "Mutation.removeBotTool": [Recipe({"id": The("BotTool")})],
    "Mutation.addTextDocument": [Recipe({"input": {"botId": The("Bot"), "title": "New", "text": "A new text."}})],
    "Mutation.uploadDocument": [Recipe({"input": {"botId": The("Bot"), "title": "New", "file": FILE}})],
    "Mutation.addWebDocument": [
        Recipe({"input": {"botId": The("Bot"), "url": "https://new.example/", "refreshEverySeconds": 3600}})
    ],
    "Mutation.refreshDocument": [Recipe({"id": The("WebDocument")})],
    "Mutation.scheduleRefresh": [Recipe({"input": {"documentId": The("WebDocument"), "refreshEverySeconds": 3600}})],
    "Mutation.crawlSite": [Recipe({"input": {"botId": The("Bot"), "url": "https://new.example/"}})],
    "Mutation.deleteCrawl": [Recipe({"id": The("Crawl")})],
    "Mutation.updateDocument": [
        Recipe({"input": {"id": The("Document"), "title": "Renamed", "tags": ["new"], "metadata": {"year": 2026}}})
    ],
    "Mutation.createQuestionSet": [
        Recipe({"input": {"botId": The("Bot"), "name": "New", "questions": [{"text": "Who?", "documents": ["Book"]}]}})
    ],
    "Mutation.createQuestionSetFromRatings": [Recipe({"input": {"botId": The("Bot"), "name": "New"}})],
    "Mutation.addQuestions": [
        Recipe({"input": {"questionSetId": The("QuestionSet"), "questions": [{"text": "Who?"}]}})
    ],
    "Mutation.deleteQuestionSet": [Recipe({"id": The("QuestionSet")})],
    "Mutation.startEvaluation": [Recipe({"input": {"questionSetId": The("QuestionSet"), "botId": The("Bot")}})],
    "Mutation.deleteEvaluation": [Recipe({"id": The("Evaluation")})],
    "Mutation.retryDocument": [Recipe({"id": The("FailedDocument")})],
    "Mutation.deleteDocument": [Recipe({"id": The("Document")})],
    "Mutation.replaceTextDocument": [Recipe({"input": {"id": The("Document"), "text": "Another text."}})],
    "Mutation.replaceDocument": [Recipe({"input": {"id": The("Document"), "file": FILE}})],
    "Mutation.pauseIngestion": [Recipe({"id": The("Bot")})],
    # Nothing is paused.
    "Mutation.resumeIngestion": [Recipe({"id": The("Bot")}, alters=False)],
    "Mutation.startConversation": [Recipe({"input": {"botId": The("Bot")}})],
    "Mutation.sendMessage": [
        Recipe({"input": {"conversationId": The("Conversation"), "text": "Who?", "parentId": The("Answer")}}),
        Recipe({"input": {"conversationId": The("Conversation"), "text": "Who?", **ONE_DOCUMENT}}),
    ],
    "Mutation.editMessage": [Recipe({"input": {"messageId": The("Question"), "text": "Who else?"}})],
    "Mutation.regenerateAnswer": [
        Recipe({"messageId": The(f"{name}Answer")}) for name in ("", "Stopped", "Interrupted", "Failed")
    ],
    "Mutation.renameConversation": [Recipe({"input": {"id": The("Conversation"), "title": "Renamed"}})],
    "Mutation.shareConversation": [
        Recipe({"input": {"conversationId": The("Conversation"), "messageId": The("Answer"), "expiresInDays": 7}})
    ],
    "Mutation.revokeShare": [Recipe({"id": The("Share")})],
    "Mutation.selectBranch": [Recipe({"messageId": The("Question")})],
    "Mutation.rateAnswer": [Recipe({"input": {"messageId": The("Answer"), "rating": "UP", "comment": "Well said."}})],
    "Mutation.withdrawRating": [Recipe({"messageId": The("Answer")})],
    "Mutation.stopAnswer": [Recipe({"messageId": The("LiveAnswer")})],
    "Mutation.deleteConversation": [Recipe({"id": The("Conversation")})],
    "Subscription.answerEvents": [
        Recipe({"messageId": The(f"{name}Answer")}) for name in ("", "Stopped", "Interrupted", "Failed")
    ],
    "Subscription.documentProgress": [Recipe({"id": The("Document")}), Recipe({"id": The("QueuedDocument")}, most=1)],
    "Subscription.crawlProgress": [Recipe({"id": The("Crawl")})],
    "Subscription.evaluationProgress": [Recipe({"id": The("Evaluation")})],
    "Subscription.ingestionProgress": [Recipe({"botId": The("Bot")}, most=1)],
}
