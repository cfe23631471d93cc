"""`kyrochat index …` on the command line."""

from pathlib import Path

import click

from kyrochat.command import data_dir_option, run_command

bot_option = click.option("--bot", "bots", multiple=True, metavar="BOT", help="Only bots of this name or id.")


@click.group()
def index() -> None:
    """The vectors that bots are searched by: how they stand, and moving them to another model or store.

    Works beside running servers, which go on answering.
    """


@index.command()
@bot_option
@data_dir_option
def status(bots: tuple[str, ...], data_dir: Path | None) -> None:
    """Print which vectors each bot is searched by, and how many passages have theirs.

    Exit code 1 when a bot is not searched as the settings say.
    """
    from kyrochat import vector_maintenance

    run_command(lambda settings: vector_maintenance.status(settings, click.echo, bots), data_dir=data_dir, quiet=True)


@index.command()
@bot_option
@click.option("--store", type=click.Choice(["pgvector", "pinecone"]), help="Where to; by default as the settings say.")
@data_dir_option
def rebuild(bots: tuple[str, ...], store: str | None, data_dir: Path | None) -> None:
    """Move bots to the model and store of the settings, or complete what they have there.

    Bots are searched by their old vectors until all new ones are there. The same command again goes on where it
    stopped, whatever stopped it.
    """
    from kyrochat import vector_maintenance

    run_command(
        lambda settings: vector_maintenance.rebuild(settings, click.echo, bots),
        data_dir=data_dir,
        vector_store=store,
        quiet=True,
    )
