"""The command line. Everything heavy is imported by the command that needs it, so that `--help` is quick."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kyrochat.command import data_dir_option, read_settings, run_command
from kyrochat.document_commands import documents
from kyrochat.evaluation_commands import evaluate
from kyrochat.index_commands import index
from kyrochat.user_commands import users

if TYPE_CHECKING:
    from kyrochat.settings import Settings

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


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

    run_command(lambda settings: run_server(settings), host=host, port=port, data_dir=data_dir)


@main.command()
@data_dir_option
def worker(data_dir: Path | None) -> None:
    """Ingest documents in a process of its own, beside servers with KYROCHAT_WORKERS=0."""
    from kyrochat.serving import work

    run_command(lambda settings: work(settings), data_dir=data_dir)


@main.command()
@click.argument("revision", default="head")
@click.option("--yes", is_flag=True, help="Do not ask before going back to an older schema.")
@data_dir_option
def migrate(revision: str, yes: bool, data_dir: Path | None) -> None:
    """Bring the database to the newest schema, or back to REVISION ("base" removes all tables)."""
    from kyrochat.serving import migrate_to

    if revision != "head" and not yes:
        click.confirm(f"Going back to {revision!r} removes tables with what they hold. Go on?", abort=True)

    run_command(lambda settings: migrate_to(settings, revision), data_dir=data_dir)
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

    run_command(lambda settings: run_demo(settings, click.echo), data_dir=data_dir, quiet=True)


@main.command()
@click.argument("bot")
@click.argument("question")
@click.option("--as", "email", help="Whose bot it is; by default whoever has one of that name.")
@data_dir_option
def ask(bot: str, question: str, email: str | None, data_dir: Path | None) -> None:
    """Ask BOT (its name or id) a QUESTION, and print the cited answer as it streams."""
    from kyrochat.demo import ask as ask_bot

    run_command(lambda settings: ask_bot(settings, click.echo, bot, question, email), data_dir=data_dir, quiet=True)


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
        previous = rotate_key(read_settings({"data_dir": data_dir}))
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

    run_command(run, data_dir=data_dir, quiet=True)


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

    run_command(lambda settings: ingest_files(settings, click.echo, bot, paths, email), data_dir=data_dir, quiet=True)


@main.command()
@click.option("--repair", is_flag=True, help="Delete what has no row, and read again what lacks its vectors.")
@data_dir_option
def reconcile(repair: bool, data_dir: Path | None) -> None:
    """Compare rows, files and vectors, and tell what is on one side only; exit code 1 when there is anything."""
    from kyrochat.maintenance import reconcile as compare

    run_command(lambda settings: compare(settings, click.echo, repair=repair), data_dir=data_dir, quiet=True)


main.add_command(users)
main.add_command(index)
main.add_command(evaluate)
main.add_command(documents)


if __name__ == "__main__":
    main()
