"""All settings, from the environment (prefix `KYROCHAT_`; the vendors' plain names work too) and `.env`."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kyrochat.setting_values import (
    AnswerProvider,
    LogFormat,
    Registration,
    Switch,
    TrustedDocumentsRule,
    VectorStoreChoice,
)


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _names(name: str, *vendor_names: str) -> AliasChoices:
    return AliasChoices(f"KYROCHAT_{name}", *vendor_names)


class Settings(BaseSettings):
    """What an operator can set. `Settings()` reads the environment; tests pass values by field name."""

    model_config = SettingsConfigDict(
        env_prefix="KYROCHAT_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    database_url: SecretStr | None = Field(
        default=None,
        validation_alias=_names("DATABASE_URL", "DATABASE_URL"),
        description="PostgreSQL 15+ with pgvector. Empty: an embedded PostgreSQL in the data directory.",
    )
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("kyrochat", appauthor=False)),
        description="Files, secrets and the embedded database.",
    )
    files_url: str | None = Field(
        default=None,
        description="Where uploads are kept: a directory, s3://…, gs://… or az://…. Empty: in the data directory.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Whoever sends it as a bearer token sees /metrics. Empty: clients on this machine only.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Signs tokens; at least 32 random bytes. Empty: made once, `secret.key` in the data directory.",
    )
    secret_key_previous: SecretStr | None = Field(
        default=None,
        description="The key before a rotation, still believed. Empty: `secret.key.previous`, if it is there.",
    )
    registration: Registration = Field(
        default=Registration.OPEN,
        description="Who may make an account: open, everybody; invite, who is invited; closed, nobody but the first.",
    )
    public_url: str | None = Field(
        default=None, description="Where people reach the server, for links: https://chat.example.com."
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        description="Mail server for forgotten passwords: smtp://user:password@host:587, or smtps:// with port 465.",
    )
    mail_from: str | None = Field(default=None, description="Who mails come from: kyrochat@example.com.")
    gemini_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=_names("GEMINI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
        description="Answers are written by Gemini when set; quoted from the documents otherwise.",
    )
    gemini_base_url: str | None = Field(default=None, description="Where the Gemini API is, for gateways and tests.")
    gemini_api_version: str = Field(default="v1", description="Gemini API version.")
    gemini_model: str = Field(default="gemini-3.5-flash", description="Model of bots that name none.")
    gemini_thinking: str = Field(
        default="",
        pattern=r"^(|minimal|low|medium|high|\d{1,6})$",
        description="How much Gemini thinks before it answers: minimal, low, medium, high, or a number of tokens for "
        "models before 3; 0 is not at all. Empty: the model's own way.",
    )
    gemini_embedding_model: str = Field(
        default="gemini-embedding-001", description="Gemini's model of dense retrieval."
    )
    openai_base_url: str | None = Field(
        default=None,
        description="Any server with OpenAI's API, up to and with its version: http://localhost:11434/v1. Empty: "
        "OpenAI's own.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=_names("OPENAI_API_KEY", "OPENAI_API_KEY"),
        description="Its key, if it wants one.",
    )
    openai_model: str = Field(
        default="",
        description="Answers are written by this model of it when set and Gemini is not; needs `kyrochat[openai]`.",
    )
    answer_provider: AnswerProvider = Field(
        default=AnswerProvider.AUTO,
        description="Who writes answers: gemini, openai, offline (quotes only), or auto: the first that is set up.",
    )
    prompt_tokens: int = Field(
        default=32_000,
        ge=2_000,
        description="Most tokens that a model is told with a question; less than its context window, with room for "
        "the answer.",
    )
    history_tokens: int = Field(default=4_000, ge=0, description="How many of them earlier messages may take.")
    answer_tokens: int | None = Field(
        default=None, ge=16, description="Most tokens of an answer, thoughts included. Empty: the model's own limit."
    )
    answer_silence_s: float = Field(
        default=60, gt=0, description="Seconds without a byte from the model after which an answer fails."
    )
    answer_timeout_s: float = Field(
        default=300, gt=0, description="Seconds after which an answer that is still being written fails."
    )
    embedding_base_url: str | None = Field(
        default=None,
        description="A server with OpenAI's /v1/embeddings (Ollama: http://localhost:11434/v1): it makes the vectors, "
        "also when there is a Gemini key.",
    )
    embedding_api_key: SecretStr | None = Field(default=None, description="Its key, if it wants one.")
    embedding_model: str = Field(default="nomic-embed-text", description="Its model.")
    embedding_dimensions: int | None = Field(
        default=None, ge=1, le=4_000, description="How long vectors it is asked for. Empty: as the model makes them."
    )
    embedding_query_prefix: str = Field(default="", description="What its model wants before questions.")
    embedding_document_prefix: str = Field(default="", description="What its model wants before passages.")
    embedding_texts_per_minute: int = Field(
        default=0, ge=0, description="The most passages a process has embedded in a minute; 0: no limit."
    )
    rerank_url: str | None = Field(
        default=None,
        description="A reranker's endpoint, as Cohere, Jina, vLLM or TEI have it: http://localhost:8080/rerank. It "
        "puts in order anew what was found.",
    )
    rerank_model: str = Field(default="", description="Its model. Empty for TEI, which has one.")
    rerank_api_key: SecretStr | None = Field(default=None, description="Its key, if it wants one.")
    rerank_timeout_s: float = Field(
        default=2.0, gt=0, le=60, description="Seconds that a search waits for the reranker, before it does without."
    )
    vector_store: VectorStoreChoice = Field(
        default=VectorStoreChoice.AUTO,
        description="Where vectors of new bots go: pgvector, pinecone or off. auto: Pinecone with its key, otherwise "
        "pgvector when something makes embeddings.",
    )
    pinecone_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=_names("PINECONE_API_KEY", "PINECONE_API_KEY"),
        description="Lets vectors be kept in Pinecone; something else has to make them.",
    )
    pinecone_host: str | None = Field(default=None, description="Pinecone's control plane, for gateways and tests.")
    pinecone_index: str = Field(default="kyrochat", description="Name of the Pinecone index.")
    redis_url: SecretStr | None = Field(
        default=None,
        description="Lets processes share rate limits; needs the extra `kyrochat[redis]`. Empty: each counts alone.",
    )
    answers_at_once: int = Field(
        default=300, ge=1, le=10_000, description="How many answers this process writes at once; others wait in line."
    )
    answers_waiting: int = Field(
        default=1_000, ge=0, le=100_000, description="How many answers may wait in line; then questions are refused."
    )
    answer_lease_s: float = Field(
        default=30.0, ge=1, le=3600, description="After how many seconds the answers of a dead process are interrupted."
    )
    workers: int = Field(default=2, ge=0, le=64, description="Ingestion tasks in the server process.")
    generated_titles: Switch = Field(
        default=Switch.ON, description="off: no model is asked for titles; they stay the starts of first questions."
    )
    rate_limits: Switch = Field(
        default=Switch.ON, description="off: no limits on how often, for benchmarks and bulk loads."
    )
    fetch_allow_cidrs: str = Field(
        default="",
        description="Private networks to fetch web pages from, at any port: 10.1.0.0/16, separated by commas.",
    )
    tool_hosts: str = Field(
        default="",
        description="Hosts that HTTP tools of bots may call, separated by commas: api.example.com, *.example.com, or "
        "with a scheme http://localhost:9000; private ones must be in fetch_allow_cidrs, too. Empty: no tools.",
    )
    allowed_origins: str = Field(
        default="",
        description="Origins, separated by commas, whose browser pages may call the API; * for all.",
    )
    allowed_hosts: str = Field(
        default="",
        description="Host names that the server answers to, separated by commas: `.example.com` is all below it, `*` "
        "is any. Empty: this machine's own when bound to a loopback address, otherwise any.",
    )
    trusted_proxies: str = Field(
        default="",
        description="Networks of the proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: 10.0.0.0/8, "
        "separated by commas.",
    )
    introspection: Switch = Field(
        default=Switch.ON, description="off: the schema does not tell about itself, nor suggest names of fields."
    )
    trusted_documents: TrustedDocumentsRule = Field(
        default=TrustedDocumentsRule.OPTIONAL,
        description="required: only GraphQL documents that `kyrochat documents register` has stored are run.",
    )
    graphiql: Switch | None = Field(
        default=None, description="Serve GraphiQL. Empty: only when bound to a loopback address."
    )
    log_format: LogFormat = Field(default=LogFormat.AUTO, description="auto, console or json.")
    max_upload_bytes: int = Field(default=100 * 1024 * 1024, ge=1, description="Largest file of an upload.")
    workspace_max_bytes: int = Field(
        default=5 * 1024**3, ge=0, description="What the files of a workspace may have in all; 0: no limit."
    )
    workspace_max_documents: int = Field(
        default=20_000, ge=0, description="How many documents a workspace may have; 0: no limit."
    )

    @field_validator("fetch_allow_cidrs", "trusted_proxies")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @property
    def fetch_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """`fetch_allow_cidrs` as networks."""
        return _networks(self.fetch_allow_cidrs)

    @property
    def proxy_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """`trusted_proxies` as networks."""
        return _networks(self.trusted_proxies)

    @property
    def hosts(self) -> tuple[str, ...]:
        """`allowed_hosts` as a tuple, with the host of `public_url` if there are any or it needs to be named."""
        named = tuple(host.strip() for host in self.allowed_hosts.split(",") if host.strip())
        public = urlsplit(self.public_url or "").hostname
        return (*named, public) if public and (named or self.is_loopback) else named

    @property
    def origins(self) -> tuple[str, ...]:
        """`allowed_origins` as a tuple."""
        return tuple(origin.strip() for origin in self.allowed_origins.split(",") if origin.strip())

    @property
    def files(self) -> str | Path:
        """Where uploads are kept."""
        return self.files_url or self.data_dir / "files"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def base_url(self) -> str:
        """Where people reach the server, without a slash at the end."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host = "localhost" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 (named, not listened on)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def allows_introspection(self) -> bool:
        """Whether clients may ask the schema about itself."""
        return self.introspection is Switch.ON

    @property
    def serves_graphiql(self) -> bool:
        """Whether `/graphiql/` is there."""
        return self.is_loopback if self.graphiql is None else self.graphiql is Switch.ON
