"""The statements of the queue."""

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

KINDS = bindparam("kinds", type_=ARRAY(Text))
LEASES = (bindparam("ids", type_=ARRAY(Uuid)), bindparam("tokens", type_=ARRAY(Uuid)))

ENQUEUE = text("""
    INSERT INTO jobs (id, workspace_id, kind, payload, state, priority, attempts, max_attempts, dedupe_key, run_at)
    VALUES (:id, :workspace_id, :kind, :payload, 'QUEUED', :priority, 0, :max_attempts, :dedupe_key,
        statement_timestamp() + make_interval(secs => :delay_s))
    ON CONFLICT (dedupe_key) WHERE state IN ('QUEUED', 'RUNNING') DO NOTHING
    RETURNING id
""").bindparams(bindparam("payload", type_=JSONB))

DEQUEUE = text("DELETE FROM jobs WHERE dedupe_key = :dedupe_key AND state = 'QUEUED'")

COMPLETE = text("DELETE FROM jobs WHERE id = :id AND lease_token = :token")

COUNT = text("SELECT kind, state, count(*) AS jobs FROM jobs GROUP BY kind, state")

HOLD = text("SELECT 1 FROM jobs WHERE id = :id AND lease_token = :token FOR SHARE")

PARK = text("""
    UPDATE jobs SET state = 'QUEUED', attempts = attempts - 1, lease_token = NULL, leased_until = NULL,
        run_at = 'infinity'
    WHERE id = :id AND lease_token = :token
""")

POSTPONE = text("""
    UPDATE jobs SET state = 'QUEUED', attempts = attempts - 1, lease_token = NULL, leased_until = NULL,
        last_error = :message, payload = payload || jsonb_build_object('waits', CAST(:waits AS integer)),
        run_at = statement_timestamp() + make_interval(secs => :delay_s)
    WHERE id = :id AND lease_token = :token
""")

WAKE = text("""
    UPDATE jobs SET run_at = statement_timestamp()
    WHERE workspace_id = :workspace_id AND state = 'QUEUED' AND run_at = 'infinity' AND kind = :kind
        AND payload->>'bot_id' = :bot_id
""")

IDLE = "set_config('idle_in_transaction_session_timeout', :idle_ms, true)"
CLAIM_LOCK = text(f"SELECT {IDLE}, pg_advisory_xact_lock(:key)")

# `waiting` jumps from workspace to workspace through the index, whatever the length of their backlogs. `turn` is what
# a workspace would have running with this job: so the idle ones go first, and among equals those after `:after`.
CLAIM = text("""
    WITH RECURSIVE waiting AS (
        (SELECT workspace_id FROM jobs WHERE state = 'QUEUED' ORDER BY workspace_id LIMIT 1)
        UNION ALL
        SELECT (SELECT jobs.workspace_id FROM jobs
                WHERE state = 'QUEUED' AND jobs.workspace_id > waiting.workspace_id ORDER BY workspace_id LIMIT 1)
        FROM waiting WHERE waiting.workspace_id IS NOT NULL
    ), running AS (
        SELECT workspace_id, count(*) AS jobs FROM jobs
        WHERE state = 'RUNNING' AND leased_until >= statement_timestamp() GROUP BY workspace_id
    ), candidate AS (
        SELECT head.id, workspace_id, coalesce(running.jobs, 0)
            + row_number() OVER (PARTITION BY workspace_id ORDER BY head.priority DESC, head.id) AS turn
        FROM waiting LEFT JOIN running USING (workspace_id) CROSS JOIN LATERAL (
            SELECT id, priority FROM jobs
            WHERE state = 'QUEUED' AND jobs.workspace_id = waiting.workspace_id
                AND run_at <= statement_timestamp() AND kind = ANY(:kinds)
            ORDER BY priority DESC, id LIMIT greatest(0, :cap - coalesce(running.jobs, 0))
        ) AS head
    ), picked AS (
        SELECT id, row_number() OVER (ORDER BY turn, workspace_id > :after DESC, workspace_id) AS place
        FROM candidate ORDER BY place LIMIT :limit
    ), locked AS (
        SELECT id, place FROM jobs JOIN picked USING (id) WHERE state = 'QUEUED' FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE jobs SET state = 'RUNNING', attempts = attempts + 1, lease_token = gen_random_uuid(),
        leased_until = statement_timestamp() + make_interval(secs => :lease_s)
    FROM locked WHERE jobs.id = locked.id
    RETURNING place, jobs.id, workspace_id, kind, payload, attempts, max_attempts, lease_token
""").bindparams(KINDS)

# A locked row is in its handler's last transaction, or being taken from us: it is not waited for, since the other
# leases must be renewed meanwhile, and counts as ours until that commits.
RENEW = text("""
    WITH held AS (
        SELECT id FROM jobs WHERE id = ANY(:ids) AND lease_token = ANY(:tokens)
    ), free AS (
        SELECT id FROM jobs WHERE id = ANY(:ids) AND lease_token = ANY(:tokens) FOR UPDATE SKIP LOCKED
    ), renewed AS (
        UPDATE jobs SET leased_until = statement_timestamp() + make_interval(secs => :lease_s)
        FROM free WHERE jobs.id = free.id
    )
    SELECT id FROM held
""").bindparams(*LEASES)

RELEASE = text("""
    UPDATE jobs SET state = 'QUEUED', attempts = attempts - 1, lease_token = NULL, leased_until = NULL
    WHERE id = ANY(:ids) AND lease_token = ANY(:tokens)
""").bindparams(*LEASES)

FAIL = text("""
    UPDATE jobs SET state = :state, last_error = :message, lease_token = NULL, leased_until = NULL,
        run_at = statement_timestamp() + make_interval(secs => :delay_s)
    WHERE id = :id AND lease_token = :token AND (NOT :lapsed OR leased_until < statement_timestamp())
""")

# Whose row is locked is in its last transaction: that one is not lost.
LAPSED = text("""
    SELECT id, workspace_id, kind, payload, attempts, max_attempts, lease_token FROM jobs
    WHERE state = 'RUNNING' AND leased_until < statement_timestamp() AND kind = ANY(:kinds)
    FOR UPDATE SKIP LOCKED
""").bindparams(KINDS)
