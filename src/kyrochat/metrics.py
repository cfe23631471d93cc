"""What this process counts, for whoever operates it; `/metrics` shows it in the text format of Prometheus.

Labels are kinds, states and routes: never an id, a name or a word of a tenant's.
"""

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# When each series began is nobody's question, and half of all lines.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no type for it

# From an answer in offline mode to one behind a slow model, and to a search that a leg's time limit ends.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Histogram(
    "kyrochat_request_seconds",
    "HTTP requests, by route and status. Event streams count when they end.",
    ["route", "status"],
    buckets=SECONDS,
)
ANSWERS = Counter("kyrochat_answers", "Answers that have ended, by how.", ["status"])
FIRST_WORDS = Histogram(
    "kyrochat_answer_first_words_seconds",
    "From a stored question to the first words of its answer, waiting in line included.",
    buckets=SECONDS,
)
ANSWER_TOKENS = Counter("kyrochat_answer_tokens", "Tokens of answers, as their providers count.", ["kind"])
SEARCHES = Histogram("kyrochat_search_seconds", "Searches, by where they came from.", ["source"], buckets=SECONDS)
SEARCH_LEGS = Counter("kyrochat_search_legs", "Legs of searches, by how they ended.", ["leg", "status"])
JOBS = Counter("kyrochat_jobs", "Attempts at jobs in this process, by how they ended.", ["kind", "end"])

ANSWERS_OPEN = Gauge("kyrochat_answers_open", "Answers of this process that have a place, or wait for one.", ["state"])
SOCKETS_OPEN = Gauge("kyrochat_sockets_open", "Sockets of this process, of those that have said who they are.")
CONNECTIONS = Gauge("kyrochat_database_connections", "Connections to the database, of the pool of requests.", ["state"])
DATABASE_UP = Gauge("kyrochat_database_up", "Whether the database answers: 1 or 0.")
QUEUE = Gauge("kyrochat_jobs_queued", "Jobs of all processes that are not done.", ["kind", "state"])
