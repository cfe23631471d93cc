"""What is done in the background. Here a job's kind meets its handler."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.erasure import PURGE_ACCOUNT
from kyrochat.accounts.workspaces import PURGE_WORKSPACE
from kyrochat.bots.index_jobs import TEND_INDEX
from kyrochat.bots.service import PURGE_BOT
from kyrochat.chat.account_purge import AccountPurge
from kyrochat.db.access import DatabaseAccess, refuse_to_bypass
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from kyrochat.documents.extraction import Extractor
from kyrochat.documents.indexing import IndexTending, tend_stale
from kyrochat.documents.ingest import Ingestion
from kyrochat.documents.ingest_outcomes import fail_document, retry_document
from kyrochat.documents.intake import UNLIMITED, Quota
from kyrochat.documents.kinds import INDEX_VECTORS, INGEST, PURGE_DOCUMENT, SWEEP_VERSIONS
from kyrochat.documents.purge import BotPurge, DocumentPurge, VersionSweep
from kyrochat.documents.retitling import RETITLE, Retitling
from kyrochat.documents.storage import FileStore
from kyrochat.documents.vector_index_job import IndexVectors
from kyrochat.documents.web.handlers import open_visitor, web_kinds
from kyrochat.documents.web.manners import Visitor
from kyrochat.documents.workspace_purge import WorkspacePurge
from kyrochat.evaluation.running import EvaluationRun, fail_evaluation, retry_evaluation
from kyrochat.evaluation.service import EVALUATE
from kyrochat.jobs.queue import ClaimedJob, Queue
from kyrochat.jobs.worker import Kind, Worker
from kyrochat.retrieval.dense_setup import NO_DENSE, DenseSetup
from kyrochat.retrieval.reranking import Reranking
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.vector_indexing import VectorIndexing
from kyrochat.settings import Settings

# Jobs get this long to end by themselves at shutdown; then they are given back, without a charge.
WORKER_GRACE_S = 15.0


@asynccontextmanager
async def working(
    settings: Settings,
    concurrency: int,
    access: DatabaseAccess,
    changes: Changes,
    store: FileStore,
    dense: DenseSetup,
    reranking: Reranking | None = None,
) -> AsyncGenerator[Worker, None]:
    """Work on jobs meanwhile, under the worker's role; jobs that are not done at the end are given back."""
    database = access.open_worker(concurrency)
    try:
        await refuse_to_bypass(database)
        visitor = open_visitor(version("kyrochat"), settings.fetch_networks)
        quota = Quota(settings.workspace_max_bytes, settings.workspace_max_documents)
        indexing = VectorIndexing(access.urls.owner, database)
        kinds = job_kinds(database, changes, store, dense, visitor, quota, indexing, reranking)
        worker = Worker(Queue(database), changes, kinds, concurrency)
        task = asyncio.create_task(worker.run(), name="worker")
        # A newer program may have come with another encoder.
        looking = asyncio.create_task(tend_stale(database, changes), name="stale-indexes")
        try:
            yield worker
        finally:
            looking.cancel()
            await worker.stop(WORKER_GRACE_S)
            await asyncio.wait([task])
    finally:
        await database.close()


def job_kinds(
    database: Database,
    changes: Changes,
    store: FileStore,
    dense: DenseSetup = NO_DENSE,
    visitor: Visitor | None = None,
    quota: Quota = UNLIMITED,
    indexing: VectorIndexing | None = None,
    reranking: Reranking | None = None,
) -> Mapping[str, Kind]:
    """Return what is done for each kind of job: without a `visitor` nothing on the web, without `indexing` no index."""

    async def on_ingest_failed(session: AsyncSession, job: ClaimedJob, reason: str) -> None:
        await fail_document(session, changes, job, reason)

    async def on_ingest_retry(session: AsyncSession, job: ClaimedJob, reason: str, delay_s: float) -> None:
        await retry_document(session, changes, job, reason, delay_s)

    async def on_evaluation_failed(session: AsyncSession, job: ClaimedJob, reason: str) -> None:
        await fail_evaluation(session, changes, job, reason)

    async def on_evaluation_retry(session: AsyncSession, job: ClaimedJob, reason: str, delay_s: float) -> None:
        await retry_evaluation(session, changes, job, reason, delay_s)

    async def on_purge_failed(session: AsyncSession, job: ClaimedJob, reason: str) -> None:
        """Leave it to the operator: the job's row says why, and what was deleted cannot be found anyway."""

    vectors, extractor = dense.stores(database), Extractor()
    return {
        INGEST: Kind(
            Ingestion(database, changes, store, extractor, dense.retrieval(database), vectors),
            on_ingest_failed,
            on_ingest_retry,
        ),
        SWEEP_VERSIONS: Kind(VersionSweep(database, store, vectors), on_purge_failed),
        PURGE_DOCUMENT: Kind(DocumentPurge(database, changes, store, vectors), on_purge_failed),
        PURGE_BOT: Kind(BotPurge(database, changes, store, vectors), on_purge_failed),
        TEND_INDEX: Kind(IndexTending(database, changes), on_purge_failed),
        RETITLE: Kind(Retitling(database, dense.retrieval(database)), on_purge_failed),
        PURGE_ACCOUNT: Kind(AccountPurge(database, changes), on_purge_failed),
        EVALUATE: Kind(
            # Measured is what answers do.
            EvaluationRun(database, changes, Retriever(database, dense=dense.retrieval(database), reranking=reranking)),
            on_evaluation_failed,
            on_evaluation_retry,
        ),
        PURGE_WORKSPACE: Kind(WorkspacePurge(database, changes, store, vectors), on_purge_failed),
        **({INDEX_VECTORS: Kind(IndexVectors(database, indexing), on_purge_failed)} if indexing else {}),
        **(web_kinds(database, changes, store, visitor, extractor, quota) if visitor else {}),
    }
