"""Settings: every name works, and wrong values are told clearly."""

import os
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from kyrochat.setting_values import LogFormat, Registration, Switch
from kyrochat.settings import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without a word about us, in a directory without an `.env`."""
    for name in list(os.environ):
        if name.startswith(("KYROCHAT_", "GEMINI_", "GOOGLE_", "OPENAI_", "PINECONE_", "DATABASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def revealed(settings: Settings, field: str) -> object:
    value = getattr(settings, field)
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def test_without_any_setting_it_serves_this_machine_only() -> None:
    settings = Settings()

    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 2)
    assert (settings.database_url, settings.gemini_api_key, settings.pinecone_api_key) == (None, None, None)
    assert (settings.registration, settings.rate_limits) == (Registration.OPEN, Switch.ON)
    assert settings.log_format is LogFormat.AUTO
    assert settings.is_loopback
    assert settings.serves_graphiql
    assert settings.origins == ()


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("KYROCHAT_DATABASE_URL", "database_url"),
        ("DATABASE_URL", "database_url"),
        ("KYROCHAT_GEMINI_API_KEY", "gemini_api_key"),
        ("GEMINI_API_KEY", "gemini_api_key"),
        ("GOOGLE_API_KEY", "gemini_api_key"),
        ("KYROCHAT_OPENAI_API_KEY", "openai_api_key"),
        ("OPENAI_API_KEY", "openai_api_key"),
        ("KYROCHAT_OPENAI_MODEL", "openai_model"),
        ("KYROCHAT_PINECONE_API_KEY", "pinecone_api_key"),
        ("PINECONE_API_KEY", "pinecone_api_key"),
        ("KYROCHAT_SECRET_KEY", "secret_key"),
        ("KYROCHAT_SECRET_KEY_PREVIOUS", "secret_key_previous"),
        ("KYROCHAT_REDIS_URL", "redis_url"),
        ("KYROCHAT_HOST", "host"),
        ("KYROCHAT_GEMINI_MODEL", "gemini_model"),
        ("KYROCHAT_PINECONE_INDEX", "pinecone_index"),
        ("KYROCHAT_ALLOWED_ORIGINS", "allowed_origins"),
    ],
)
def test_each_name_sets_its_field_from_the_environment_and_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, field: str
) -> None:
    (tmp_path / ".env").write_text(f"{name}=from the file\n")
    assert revealed(Settings(), field) == "from the file"

    monkeypatch.setenv(name, "from the environment")

    assert revealed(Settings(), field) == "from the environment"
    if field.endswith(("key", "previous", "url")):
        assert "from the environment" not in repr(Settings())


def test_our_own_name_goes_before_the_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "KYROCHAT_GEMINI_API_KEY"):
        monkeypatch.setenv(name, name)
        assert revealed(Settings(), "gemini_api_key") == name


def test_an_empty_value_is_none_and_strangers_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("UNRELATED=1\nKYROCHAT_NO_SUCH_THING=1\nKYROCHAT_PORT=9000\n")
    monkeypatch.setenv("GEMINI_API_KEY", "")
    monkeypatch.setenv("KYROCHAT_WORKERS", "")

    settings = Settings()

    assert (settings.gemini_api_key, settings.workers, settings.port) == (None, 2, 9000)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "eighty", "port"),
        ("PORT", "65536", "port"),
        ("PORT", "-1", "port"),
        ("WORKERS", "-1", "workers"),
        ("WORKERS", "65", "workers"),
        ("REGISTRATION", "maybe", "'open', 'invite' or 'closed'"),
        ("RATE_LIMITS", "yes", "'on' or 'off'"),
        ("GRAPHIQL", "true", "'on' or 'off'"),
        ("LOG_FORMAT", "xml", "'auto', 'console' or 'json'"),
        ("MAX_UPLOAD_BYTES", "0", "max_upload_bytes"),
        ("FETCH_ALLOW_CIDRS", "10.0.0.1/8", "has host bits set"),
        ("TRUSTED_PROXIES", "proxy.example.com", "does not appear to be an IPv4 or IPv6 network"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
        ("INTROSPECTION", "no", "'on' or 'off'"),
        ("FETCH_ALLOW_CIDRS", "10.0.0.0/8,intranet", "'intranet' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"KYROCHAT_{name}", value)

    with pytest.raises(ValidationError) as refused:
        Settings()

    [error] = refused.value.errors()
    assert str(error["loc"][0]).lower().removeprefix("kyrochat_") == name.lower()
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("example.com", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_only_loopback_addresses_count_as_this_machine(host: str, is_loopback: bool) -> None:
    settings = Settings(host=host)

    assert settings.is_loopback is is_loopback
    assert settings.serves_graphiql is is_loopback
    assert Settings(host=host, graphiql=Switch.ON).serves_graphiql
    assert not Settings(host=host, graphiql=Switch.OFF).serves_graphiql


def test_proxies_are_networks_separated_by_commas() -> None:
    assert Settings(trusted_proxies=" 10.0.0.0/8, 192.0.2.1,fd00::/8,").proxy_networks == (
        ip_network("10.0.0.0/8"),
        ip_network("192.0.2.1/32"),
        ip_network("fd00::/8"),
    )
    assert Settings().proxy_networks == ()


def test_origins_are_separated_by_commas() -> None:
    assert Settings(allowed_origins=" https://a.example ,https://b.example,,").origins == (
        "https://a.example",
        "https://b.example",
    )


def test_networks_to_fetch_from_are_separated_by_commas() -> None:
    assert Settings().fetch_networks == ()
    assert Settings(fetch_allow_cidrs=" 10.1.0.0/16 ,fd00::/8,,192.168.7.9 ").fetch_networks == (
        ip_network("10.1.0.0/16"),
        ip_network("fd00::/8"),
        ip_network("192.168.7.9/32"),
    )
