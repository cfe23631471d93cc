"""What of dense retrieval the settings name; a database makes it work."""

from dataclasses import dataclass

from kyrochat.db.engine import Database
from kyrochat.db.states import VectorStore
from kyrochat.retrieval.dense import DenseRetrieval
from kyrochat.retrieval.embedders import Embedders
from kyrochat.retrieval.vector_check import VectorCheck
from kyrochat.retrieval.vector_search import EXACT_LIMIT
from kyrochat.retrieval.vector_stores import Indexes, VectorStores


@dataclass(frozen=True, slots=True)
class DenseSetup:
    """Who makes vectors, where those of new bots go, and the way into Pinecone, also for vectors made before.

    Without `embedders`, nothing is searched by meaning; without `store`, neither, and no vector is made.
    """

    embedders: Embedders | None = None
    store: VectorStore | None = None
    pinecone: Indexes | None = None
    exact_limit: int = EXACT_LIMIT

    def stores(self, database: Database) -> VectorStores:
        """Return the places where vectors may be, as seen through that pool."""
        return VectorStores(database, self.pinecone)

    def retrieval(self, database: Database) -> DenseRetrieval | None:
        """Return dense retrieval over that pool, if there is any."""
        if self.embedders is None or self.store is None:
            return None
        return DenseRetrieval(database, self.embedders, self.stores(database), self.store, exact_limit=self.exact_limit)

    def check(self, database: Database) -> VectorCheck:
        """Return who compares vectors with rows, and makes those that are missing where they can be made."""
        return VectorCheck(database, self.stores(database), self.retrieval(database))


NO_DENSE = DenseSetup()
