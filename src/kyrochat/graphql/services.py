"""All use cases, as resolvers find them."""

from dataclasses import dataclass

from kyrochat.accounts.administration import Administration
from kyrochat.accounts.api_keys import ApiKeyService
from kyrochat.accounts.audit_reading import AuditReader
from kyrochat.accounts.credentials import CredentialService
from kyrochat.accounts.erasure import ErasureService
from kyrochat.accounts.export import ExportService
from kyrochat.accounts.invitations import InvitationService
from kyrochat.accounts.members import MemberService
from kyrochat.accounts.presence import Presences
from kyrochat.accounts.principals import Principals
from kyrochat.accounts.registration import RegistrationService
from kyrochat.accounts.resets import PasswordResetService
from kyrochat.accounts.service import AccountService
from kyrochat.accounts.sessions import SessionService
from kyrochat.accounts.workspaces import WorkspaceService
from kyrochat.bots.service import BotService
from kyrochat.bots.tools import BotToolService
from kyrochat.chat.conversations import ConversationService
from kyrochat.chat.feedback import FeedbackService
from kyrochat.chat.searching import SearchService
from kyrochat.chat.service import ChatService
from kyrochat.chat.sharing import SharingService
from kyrochat.documents.relabelling import Relabelling
from kyrochat.documents.service import DocumentService
from kyrochat.documents.web.crawls import CrawlService
from kyrochat.documents.web.service import WebDocumentService
from kyrochat.evaluation.question_sets import QuestionSetService
from kyrochat.evaluation.service import EvaluationService
from kyrochat.rates.service import Rates


@dataclass(frozen=True, slots=True)
class Services:
    """All use cases, for the life of the process."""

    accounts: AccountService
    registration: RegistrationService
    sessions: SessionService
    workspaces: WorkspaceService
    members: MemberService
    api_keys: ApiKeyService
    invitations: InvitationService
    erasure: ErasureService
    exports: ExportService
    credentials: CredentialService
    resets: PasswordResetService
    users: Administration
    audit: AuditReader
    principals: Principals
    presences: Presences
    bots: BotService
    bot_tools: BotToolService
    documents: DocumentService
    relabelling: Relabelling
    web_documents: WebDocumentService
    crawls: CrawlService
    chat: ChatService
    searches: SearchService
    conversations: ConversationService
    feedback: FeedbackService
    question_sets: QuestionSetService
    evaluations: EvaluationService
    sharing: SharingService
    rates: Rates
    version: str
    answer_model: str
    is_offline: bool
