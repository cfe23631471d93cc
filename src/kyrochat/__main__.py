"""The command line. Everything heavy is imported by the command that needs it, so that `--help` is quick."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kyrochat.settings import Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
data_dir_option = click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Files, secrets and the embedded database."
)


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="kyrochat")
def main() -> None:
    """KyroChat: chatbots that answer from their own documents, over GraphQL.

    Settings come from the environment (KYROCHAT_...) and from .env; the README lists them.
    """


@main.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (8000); 0 picks a free one.")
@data_dir_option
def serve(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """Run the server: API, GraphiQL and, unless KYROCHAT_WORKERS=0, the ingestion of documents."""
    from kyrochat.serving import serve as run_server

    _run(lambda settings: run_server(settings), host=host, port=port, data_dir=data_dir)


@main.command()
@data_dir_option
def worker(data_dir: Path | None) -> None:
    """Ingest documents in a process of its own, beside servers with KYROCHAT_WORKERS=0."""
    from kyrochat.serving import work

    _run(lambda settings: work(settings), data_dir=data_dir)


@main.command()
@click.argument("revision", default="head")
@click.option("--yes", is_flag=True, help="Do not ask before going back to an older schema.")
@data_dir_option
def migrate(revision: str, yes: bool, data_dir: Path | None) -> None:
    """Bring the database to the newest schema, or back to REVISION ("base" removes all tables)."""
    from kyrochat.serving import migrate_to

    if revision != "head" and not yes:
        click.confirm(f"Going back to {revision!r} removes tables with what they hold. Go on?", abort=True)

    _run(lambda settings: migrate_to(settings, revision), data_dir=data_dir)
    click.echo(f"The database is at {revision}.")


@main.command()
def schema() -> None:
    """Print the GraphQL schema."""
    from kyrochat.graphql.schema import schema_text

    click.echo(schema_text(), nl=False)


@main.command()
@data_dir_option
def demo(data_dir: Path | None) -> None:
    """Load the sample bot with its documents, ask it a question, and print the cited answer as it streams."""
    from kyrochat.demo import run_demo

    _run(lambda settings: run_demo(settings, click.echo), data_dir=data_dir, quiet=True)


@main.command()
@click.argument("bot")
@click.argument("question")
@click.option("--as", "email", help="Whose bot it is; by default whoever has one of that name.")
@data_dir_option
def ask(bot: str, question: str, email: str | None, data_dir: Path | None) -> None:
    """Ask BOT (its name or id) a QUESTION, and print the cited answer as it streams."""
    from kyrochat.demo import ask as ask_bot

    _run(lambda settings: ask_bot(settings, click.echo, bot, question, email), data_dir=data_dir, quiet=True)


@main.group()
def secret() -> None:
    """The secret key, which signs tokens: change it, or tell the database that it has changed."""


@secret.command()
@data_dir_option
def rotate(data_dir: Path | None) -> None:
    """Make a new secret key in the data directory; what the old one signed stays valid until that is removed."""
    from kyrochat.errors import KyroError
    from kyrochat.signing.key_files import rotate_key

    try:
        previous = rotate_key(_settings({"data_dir": data_dir}))
    except KyroError as error:
        raise click.ClickException(error.message) from error
    click.echo(
        f"There is a new key; the old one is kept in {previous}.\n"
        "Restart all servers: each needs both files. 20 minutes later remove the old one, and restart them again.\n"
        "If the old key has leaked, do not wait: until it is removed, tokens that are signed with it are believed."
    )


@secret.command()
@data_dir_option
def accept(data_dir: Path | None) -> None:
    """Use the database with another secret key from now on: when the old one is lost."""
    from kyrochat.serving import accept_secret_key

    async def run(settings: "Settings") -> None:
        changed = await accept_secret_key(settings)
        click.echo(
            "The database is used with this key from now on. Clients refresh their sessions, or sign in again."
            if changed
            else "The database has been used with this key all along."
        )

    _run(run, data_dir=data_dir, quiet=True)


@main.group()
def users() -> None:
    """Accounts: list them, invite people, help whoever has forgotten a password, disable, enable, make administrators.

    Works beside running servers, which follow at once. What is done here is in the audit log, as nobody's.
    """


@users.command("list")
@click.option("--email", default="", metavar="PART", help="Only accounts whose e-mail address has PART in it.")
@click.option("--status", type=click.Choice(["active", "disabled"]), help="Only accounts that work, or do not.")
@data_dir_option
def list_users(email: str, status: str | None, data_dir: Path | None) -> None:
    """Print the accounts, newest first: e-mail address, name, when they were last here, and what is special."""
    from kyrochat import users
    from kyrochat.accounts.user_repository import UserStatus

    wanted = UserStatus(status.upper()) if status else None
    _run(lambda settings: users.list_users(settings, click.echo, email, wanted), data_dir=data_dir, quiet=True)


@users.command("reset-link")
@click.argument("email")
@data_dir_option
def reset_link(email: str, data_dir: Path | None) -> None:
    """Print a link for whoever has forgotten the password of EMAIL. It works once, for 30 minutes.

    Set KYROCHAT_PUBLIC_URL to where people reach the server, or the link leads to this machine.
    """
    from kyrochat import users

    _run(lambda settings: users.print_reset_link(settings, click.echo, email), data_dir=data_dir, quiet=True)


@users.command()
@click.argument("email")
@data_dir_option
def disable(email: str, data_dir: Path | None) -> None:
    """Shut the account of EMAIL: sessions end, API keys and open sockets stop, and nobody can sign in."""
    from kyrochat import users

    _run(lambda settings: users.set_disabled(settings, click.echo, email, disabled=True), data_dir=data_dir, quiet=True)


@users.command()
@click.argument("email")
@data_dir_option
def enable(email: str, data_dir: Path | None) -> None:
    """Open the account of EMAIL again. Its API keys work again too."""
    from kyrochat import users

    _run(
        lambda settings: users.set_disabled(settings, click.echo, email, disabled=False), data_dir=data_dir, quiet=True
    )


@users.command("make-admin")
@click.argument("email")
@data_dir_option
def make_admin(email: str, data_dir: Path | None) -> None:
    """Make EMAIL an administrator of this server. Administrators take that away again, with `setUserAdmin`."""
    from kyrochat import users

    _run(lambda settings: users.make_admin(settings, click.echo, email), data_dir=data_dir, quiet=True)


@main.command()
@click.argument("bot")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--as", "email", help="Whose bot it is; by default whoever has one of that name.")
@data_dir_option
def ingest(bot: str, paths: tuple[Path, ...], email: str | None, data_dir: Path | None) -> None:
    """Add the files at PATHS to BOT (its name or id): files, folders with all that is in them, and zip archives.

    What the bot has already is left alone, so the same command again goes on where it stopped.
    """
    from kyrochat.bulk import ingest as ingest_files

    _run(lambda settings: ingest_files(settings, click.echo, bot, paths, email), data_dir=data_dir, quiet=True)


@main.command()
@click.option("--repair", is_flag=True, help="Delete what has no row, and read again what lacks its vectors.")
@data_dir_option
def reconcile(repair: bool, data_dir: Path | None) -> None:
    """Compare rows, files and vectors, and tell what is on one side only; exit code 1 when there is anything."""
    from kyrochat.maintenance import reconcile as compare

    _run(lambda settings: compare(settings, click.echo, repair=repair), data_dir=data_dir, quiet=True)


@users.command()
@click.option("--email", help="Only this address may use the link; by default whoever has it.")
@click.option("--days", type=int, default=7, show_default=True, help="How long it is good, 1 to 30.")
@data_dir_option
def invite(email: str | None, days: int, data_dir: Path | None) -> None:
    """Print a link with which one person can make an account, also where registration is by invitation."""
    from kyrochat import users

    _run(lambda settings: users.invite(settings, click.echo, email, days), data_dir=data_dir, quiet=True)


@users.command()
@click.argument("email")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_dir_option
def export(email: str, file: Path, data_dir: Path | None) -> None:
    """Write all data of EMAIL to the new FILE, a ZIP archive: what `exportAccount` gives the person."""
    from kyrochat import users

    _run(lambda settings: users.export(settings, click.echo, email, file), data_dir=data_dir, quiet=True)


@users.command()
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_dir_option
def delete(email: str, yes: bool, data_dir: Path | None) -> None:
    """Delete the account of EMAIL, with all that is that person's alone, for good: rows, files and vectors."""
    from kyrochat import users

    if not yes:
        click.confirm(f"Nothing of {email} can be brought back. Go on?", abort=True)
    _run(lambda settings: users.delete(settings, click.echo, email), data_dir=data_dir, quiet=True)


def _run(make: Any, *, quiet: bool = False, **options: Any) -> None:
    """Run a command's coroutine. An expected failure is one line and exit code 1, never a traceback."""
    import asyncio
    import logging

    from kyrochat.errors import KyroError
    from kyrochat.logs import set_up_logs

    try:
        settings = _settings(options)
        set_up_logs(settings.log_format, logging.WARNING if quiet else logging.INFO)
        coroutine: Coroutine[Any, Any, None] = make(settings)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(coroutine)
    except KyroError as error:
        raise click.ClickException(error.message) from error
    except KeyboardInterrupt:
        sys.exit(130)


def _settings(options: dict[str, Any]) -> "Settings":
    from pydantic import ValidationError

    from kyrochat.settings import Settings

    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"KYROCHAT_{str(problem['loc'][0]).removeprefix('KYROCHAT_').upper()}: {problem['msg']}"
            for problem in error.errors()
        )
        raise click.ClickException(f"A setting is wrong: {problems}") from error


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
