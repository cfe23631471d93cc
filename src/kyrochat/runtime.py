"""Everything that a process runs: settings in, services out, and what works behind them."""

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version

from kyrochat.accounts.export import ExportService
from kyrochat.accounts.opening import open_accounts
from kyrochat.accounts.presence import Presences
from kyrochat.bots.service import BotService
from kyrochat.bots.tools import BotToolService
from kyrochat.chat.answer import Answerer
from kyrochat.chat.compaction import LogCompaction
from kyrochat.chat.conversations import ConversationService
from kyrochat.chat.export import ConversationExport
from kyrochat.chat.feedback import FeedbackService
from kyrochat.chat.http_tools import HttpTools
from kyrochat.chat.log import AnswerLog
from kyrochat.chat.queue import AnswerQueue
from kyrochat.chat.running import RunningAnswers
from kyrochat.chat.searching import SearchService
from kyrochat.chat.service import ChatService
from kyrochat.chat.sharing import SharingService
from kyrochat.chat.title_writer import TitleWriter
from kyrochat.chat.transcripts import Transcripts
from kyrochat.db.access import DatabaseAccess, refuse_to_bypass
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.documents.export import DocumentExport
from kyrochat.documents.intake import Quota
from kyrochat.documents.reconcile import Reconciler
from kyrochat.documents.relabelling import Relabelling
from kyrochat.documents.service import DocumentService
from kyrochat.documents.storage import FileStore, open_store
from kyrochat.documents.web.crawls import CrawlService
from kyrochat.documents.web.service import WebDocumentService
from kyrochat.evaluation.export import EvaluationExport
from kyrochat.evaluation.question_sets import QuestionSetService
from kyrochat.evaluation.service import EvaluationService
from kyrochat.graphql.services import Services
from kyrochat.outbound.allowed_hosts import AllowedHosts
from kyrochat.outbound.calling import Caller, tool_agent
from kyrochat.outbound.deny_table import AddressRules
from kyrochat.rates.service import open_rates
from kyrochat.retrieval.offline import ExtractiveModel
from kyrochat.retrieval.providers import Providers, open_providers
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.vector_indexing import VectorIndexing
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings
from kyrochat.signing.agreement import agree_on_key
from kyrochat.signing.key_files import secret_keys
from kyrochat.signing.sealing import Sealer
from kyrochat.trusted.documents import TrustedDocuments
from kyrochat.working import working

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Runtime:
    """What runs in this process, for as long as it does."""

    services: Services
    database: Database
    changes: Changes
    store: FileStore
    reconciler: Reconciler
    trusted: TrustedDocuments
    retriever: Retriever
    transcripts: Transcripts
    indexing: VectorIndexing
    queue: AnswerQueue


@asynccontextmanager
async def running(
    settings: Settings, access: DatabaseAccess, *, provided: Providers | None = None
) -> AsyncGenerator[Runtime, None]:
    """Open everything, work meanwhile, close everything. `provided` takes the place of what the settings name."""
    async with AsyncExitStack() as stack:
        database = access.open_app()
        stack.push_async_callback(database.close)
        await refuse_to_bypass(database)
        keys = secret_keys(settings)
        await agree_on_key(database, keys)
        rates = await stack.enter_async_context(open_rates(settings, keys.derive("rates")))
        if provided is None:
            provided = await stack.enter_async_context(open_providers(settings))
        model, dense = provided.model, provided.dense.retrieval(database)
        changes = Changes()
        await stack.enter_async_context(changes.listening(database.engine))
        store = open_store(settings.files)
        log_database = access.open_log()
        stack.push_async_callback(log_database.close)
        retriever = Retriever(database, dense=dense, reranking=provided.reranking)
        hosts, sealer = AllowedHosts.parse(settings.tool_hosts), Sealer.of(keys, "tools of bots")
        http = None
        if hosts:
            caller = Caller(tool_agent(version("kyrochat")), AddressRules(settings.fetch_networks))
            http = HttpTools(caller, hosts, sealer)
        answer_log = AnswerLog(database, changes, log_database)
        answerer = Answerer(database, answer_log, retriever, model, provided.budget, http)
        queue = AnswerQueue(settings.answers_at_once, settings.answers_waiting)
        lease = timedelta(seconds=settings.answer_lease_s)
        answers = RunningAnswers(log_database, changes, answerer, lease, queue=queue)
        await stack.enter_async_context(answers.alive())
        await stack.enter_async_context(LogCompaction(log_database).sweeping())
        if settings.workers:
            await stack.enter_async_context(
                working(settings, settings.workers, access, changes, store, provided.dense, provided.reranking)
            )
        accounts = await stack.enter_async_context(open_accounts(settings, keys, database, changes, rates))
        presences = Presences(database, changes)
        await stack.enter_async_context(presences.watched())
        quota = Quota(settings.workspace_max_bytes, settings.workspace_max_documents)
        is_offline = isinstance(model, ExtractiveModel)
        titles = None
        # What can only quote cannot name anything.
        if settings.generated_titles is Switch.ON and not is_offline:
            titles = await stack.enter_async_context(TitleWriter(database, model).alive())
        log.info("Answers come from %s%s", model.name, ": offline mode, they quote the documents" if is_offline else "")
        yield Runtime(
            Services(
                accounts=accounts.people,
                registration=accounts.registration,
                sessions=accounts.sessions,
                credentials=accounts.credentials,
                resets=accounts.resets,
                users=accounts.users,
                workspaces=accounts.workspaces,
                members=accounts.members,
                api_keys=accounts.api_keys,
                audit=accounts.audit,
                invitations=accounts.invitations,
                erasure=accounts.erasure,
                exports=ExportService(
                    database,
                    accounts.principals.tokens,
                    settings.base_url,
                    (DocumentExport(database, store), ConversationExport(database), EvaluationExport(database)),
                    rates,
                ),
                principals=accounts.principals,
                presences=presences,
                bots=BotService(database, changes),
                bot_tools=BotToolService(database, hosts, sealer),
                documents=DocumentService(database, changes, store, settings.max_upload_bytes, quota, rates),
                relabelling=Relabelling(database, changes),
                web_documents=WebDocumentService(database, changes, quota, rates),
                crawls=CrawlService(database, changes, rates),
                chat=ChatService(database, changes, answers, rates, titles),
                searches=SearchService(database, answerer.retriever),
                conversations=ConversationService(database),
                feedback=FeedbackService(database),
                question_sets=QuestionSetService(database),
                evaluations=EvaluationService(database, changes, rates),
                sharing=SharingService(database, settings.base_url, rates),
                rates=rates,
                version=version("kyrochat"),
                answer_model=model.name,
                is_offline=is_offline,
            ),
            database,
            changes,
            store,
            Reconciler(database, store, provided.dense.check(database)),
            TrustedDocuments(database),
            retriever,
            Transcripts(database),
            VectorIndexing(access.urls.owner, database),
            queue,
        )
