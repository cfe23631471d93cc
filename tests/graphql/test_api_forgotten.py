"""A forgotten password, from the request through a real mail server to the next sign-in."""

import time
from pathlib import Path

from tests.fakes.mail_server import mail_server
from tests.graphql.test_api_accounts import LOGIN, ME, NEW, PASSWORD, REQUEST, RESET
from tests.graphql_client import register, visiting
from tests.server_process import serving


async def test_a_mailed_link_sets_a_new_password(tmp_path: Path) -> None:
    async with (
        mail_server() as mails,
        serving(
            tmp_path / "data",
            KYROCHAT_SMTP_URL=f"smtp://127.0.0.1:{mails.port}",
            KYROCHAT_MAIL_FROM="kyrochat@example.com",
            KYROCHAT_PUBLIC_URL="https://chat.example.com/",
        ) as server,
        visiting(server.graphql_url) as visitor,
    ):
        user = await register(visitor)
        email = (await user.run(ME))["email"]

        answers = [await visitor.run(REQUEST, email=one) for one in ("nobody@example.org", email, "no address")]

        assert answers == [answers[0]] * 3
        assert answers[0]["__typename"] == "PasswordResetRequest"
        mail = await mails.next()
        assert mail.recipients == [email]
        assert mails.mails.empty()
        (url,) = [line for line in mail.message.get_content().splitlines() if line.startswith("https://")]
        assert url.startswith("https://chat.example.com/reset-password#kcp_")
        token = url.partition("#")[2]
        assert (await visitor.run(RESET, token=token, new=NEW)) == {"__typename": "PasswordResetDone", "email": email}
        assert (await visitor.run(LOGIN, email=email, password=NEW))["__typename"] == "Session"
        assert (await visitor.run(LOGIN, email=email, password=PASSWORD))["__typename"] == "InvalidCredentialsProblem"
        assert server.faults() == []
        log = server.log.read_text("utf-8")
        assert not [secret for secret in (token, email, "nobody@example.org", NEW, PASSWORD) if secret in log]


async def test_a_mail_server_that_is_away_holds_nobody_up_and_is_told_in_the_log(tmp_path: Path) -> None:
    async with mail_server() as mails:
        port = mails.port
    async with (
        serving(
            tmp_path / "data",
            KYROCHAT_SMTP_URL=f"smtp://127.0.0.1:{port}",
            KYROCHAT_MAIL_FROM="kyrochat@example.com",
            KYROCHAT_PUBLIC_URL="https://chat.example.com",
        ) as server,
        visiting(server.graphql_url) as visitor,
    ):
        email = (await (await register(visitor)).run(ME))["email"]

        began = time.monotonic()
        assert (await visitor.run(REQUEST, email=email))["__typename"] == "PasswordResetRequest"

        assert time.monotonic() - began < 5
        # It ends in order, and has tried by then.
        assert await server.stop() == 0
        log = server.log.read_text("utf-8")
        assert "A mail was not sent" in log
        assert email not in log
