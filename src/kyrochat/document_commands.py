"""`kyrochat documents …` on the command line."""

from pathlib import Path

import click

from kyrochat.command import data_dir_option, run_command


@click.group()
def documents() -> None:
    """Trusted documents: the GraphQL operations of your clients, known to the server before they are sent.

    Clients send `documentId`, the SHA-256 of a registered document, in the place of its text. A server with
    KYROCHAT_TRUSTED_DOCUMENTS=required runs no others.
    """


@documents.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@data_dir_option
def register(paths: tuple[Path, ...], data_dir: Path | None) -> None:
    """Store the documents in the files at PATHS, after a check of each against the schema.

    Takes .graphql files (one document each), folders of them, and .json files: a map of hashes to documents, as
    graphql-codegen (`hashAlgorithm: 'sha256'`) and Relay write it, or Apollo's manifest of persisted queries.
    """
    from kyrochat.registering import register as store

    run_command(lambda settings: store(settings, click.echo, paths), data_dir=data_dir, quiet=True)


@documents.command("list")
@data_dir_option
def list_documents(data_dir: Path | None) -> None:
    """Print the registered documents, newest first: the id, when it was registered, its operations."""
    from kyrochat.registering import list_documents as show

    run_command(lambda settings: show(settings, click.echo), data_dir=data_dir, quiet=True)


@documents.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@data_dir_option
def remove(ids: tuple[str, ...], data_dir: Path | None) -> None:
    """Forget the documents with these IDs. Running servers do so within a minute."""
    from kyrochat.registering import remove as forget

    run_command(lambda settings: forget(settings, click.echo, ids), data_dir=data_dir, quiet=True)
