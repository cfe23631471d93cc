"""Sets of questions, and what bots found for them."""

from alembic import op

revision = "0018"
down_revision = "0017"

TABLES = """
CREATE TABLE question_sets (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT question_sets_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT question_sets_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE
);

CREATE INDEX question_sets_bot_id_id_idx ON question_sets (bot_id, id);

CREATE TABLE evaluation_questions (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    question_set_id UUID NOT NULL,
    text TEXT NOT NULL,
    documents JSONB DEFAULT '[]' NOT NULL,
    quotes JSONB DEFAULT '[]' NOT NULL,
    asked_by UUID,
    PRIMARY KEY (id),
    CONSTRAINT evaluation_questions_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT evaluation_questions_set_fkey FOREIGN KEY(question_set_id, workspace_id) REFERENCES question_sets (id, workspace_id) ON DELETE CASCADE,
    FOREIGN KEY(asked_by) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX evaluation_questions_question_set_id_id_idx ON evaluation_questions (question_set_id, id);
CREATE INDEX evaluation_questions_asked_by_idx ON evaluation_questions (asked_by) WHERE asked_by IS NOT NULL;

CREATE TABLE evaluations (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    bot_id UUID NOT NULL,
    question_set_id UUID NOT NULL,
    name TEXT NOT NULL,
    status VARCHAR(16) NOT NULL,
    failure TEXT,
    wanted JSONB DEFAULT '{}' NOT NULL,
    used JSONB DEFAULT '{}' NOT NULL,
    question_count INTEGER NOT NULL,
    done_count INTEGER NOT NULL,
    unknown JSONB DEFAULT '[]' NOT NULL,
    figures JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT evaluations_id_workspace_id_key UNIQUE (id, workspace_id),
    CONSTRAINT evaluations_bot_fkey FOREIGN KEY(bot_id, workspace_id) REFERENCES bots (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT evaluations_set_fkey FOREIGN KEY(question_set_id, workspace_id) REFERENCES question_sets (id, workspace_id) ON DELETE CASCADE
);

CREATE INDEX evaluations_bot_id_id_idx ON evaluations (bot_id, id);
CREATE INDEX evaluations_question_set_id_idx ON evaluations (question_set_id);
CREATE INDEX evaluations_unfinished_idx ON evaluations (workspace_id) WHERE status IN ('QUEUED', 'RUNNING');

CREATE TABLE evaluation_results (
    id UUID NOT NULL,
    workspace_id UUID NOT NULL,
    evaluation_id UUID NOT NULL,
    question_id UUID NOT NULL,
    ranking JSONB DEFAULT '[]' NOT NULL,
    measures JSONB DEFAULT '{}' NOT NULL,
    milliseconds DOUBLE PRECISION NOT NULL,
    degraded BOOLEAN NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT evaluation_results_evaluation_id_question_id_key UNIQUE (evaluation_id, question_id),
    CONSTRAINT evaluation_results_evaluation_fkey FOREIGN KEY(evaluation_id, workspace_id) REFERENCES evaluations (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT evaluation_results_question_fkey FOREIGN KEY(question_id, workspace_id) REFERENCES evaluation_questions (id, workspace_id) ON DELETE CASCADE
);

CREATE INDEX evaluation_results_evaluation_id_id_idx ON evaluation_results (evaluation_id, id);
CREATE INDEX evaluation_results_question_id_idx ON evaluation_results (question_id);
"""

# See 0001 for the form: an array that is read once a statement, and no rows when it is unset.
POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
CREATE POLICY {table}_of_workspace ON {table}
    USING (workspace_id = ANY ((SELECT nullif(current_setting('kyrochat.workspaces', true), '')::uuid[])::uuid[]));
"""


def upgrade() -> None:
    _execute(TABLES)
    for table in ("question_sets", "evaluation_questions", "evaluations", "evaluation_results"):
        _execute(POLICY.format(table=table))


def downgrade() -> None:
    op.execute("DROP TABLE evaluation_results, evaluations, evaluation_questions, question_sets")


def _execute(statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)
