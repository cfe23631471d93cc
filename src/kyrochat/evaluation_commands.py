"""`kyrochat eval` on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kyrochat.command import data_dir_option, run_command

if TYPE_CHECKING:
    from kyrochat.settings import Settings

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("eval")
@click.argument("bot")
@click.argument("questions", type=_FILE)
@click.option("--as", "email", help="Whose bot it is; by default whoever has one of that name.")
@click.option("--url", help="Ask a running server instead, at this address, over its API.")
@click.option("--key", envvar="KYROCHAT_API_KEY", default="", help="An API key for --url. [env: KYROCHAT_API_KEY]")
@click.option(
    "--top-k",
    type=click.IntRange(1, 50),
    help="How many passages a search returns; by default the bot's, over --url 10.",
)
@click.option("--min-score", type=click.FloatRange(0, 1), help="Leave out passages that score less.")
@click.option("--alpha", type=click.FloatRange(0, 1), help="Weight of the dense leg.")
@click.option(
    "--leg", "legs", type=click.Choice(["lexical", "dense", "rerank"]), multiple=True, help="Only these legs."
)
@click.option("--name", default="", help="What to call this run; by default the name of the file.")
@click.option("--save", type=_FILE, help="Write the run to this file, as a baseline for later ones.")
@click.option("--baseline", type=_FILE, help="Compare with a run that --save has written.")
@click.option("--plot", type=_FILE, help="Draw it: a file that ends in .svg or .png. Needs kyrochat[eval].")
@click.option("--fail-under", multiple=True, metavar="FIGURE=N", help="Exit code 1 below it: ndcg@10=0.7.")
@click.option("--fail-over", multiple=True, metavar="FIGURE=N", help="Exit code 1 above it: latency_p95_ms=200.")
@click.option("--max-drop", multiple=True, metavar="[FIGURE=]N", help="Exit code 1 if it got worse by more: 0.02.")
@data_dir_option
def evaluate(
    bot: str,
    questions: Path,
    email: str | None,
    url: str | None,
    key: str,
    top_k: int | None,
    min_score: float | None,
    alpha: float | None,
    legs: tuple[str, ...],
    name: str,
    save: Path | None,
    baseline: Path | None,
    plot: Path | None,
    fail_under: tuple[str, ...],
    fail_over: tuple[str, ...],
    max_drop: tuple[str, ...],
    data_dir: Path | None,
) -> None:
    """Measure how well BOT (its name or id) finds what the QUESTIONS of a file should find.

    A line of the file is a question with the documents (titles, ids or addresses) or the quotes that belong to it:

    \b
      {"question": "How deep is the entrance?", "quotes": ["2.6 metres"]}
      {"question": "Who began the project?", "documents": ["Software handbook"]}
      {"question": "Who won the cup?", "answerable": false}

    A .csv file has the columns question, documents, quotes (several separated by |) and answerable.
    """
    if max_drop and baseline is None:
        raise click.UsageError("--max-drop needs a --baseline to compare with.")

    async def run(settings: "Settings") -> None:
        from kyrochat.evaluating import Wanted
        from kyrochat.evaluating import evaluate as ask_all
        from kyrochat.evaluation.gates import read_gates
        from kyrochat.retrieval.search_settings import Leg, SearchSettings

        search = SearchSettings(
            top_k=top_k, min_score=min_score, alpha=alpha, legs=tuple(Leg[leg.upper()] for leg in legs) or None
        )
        gates = read_gates(fail_under, fail_over, max_drop)
        wanted = Wanted(bot, questions, search, gates, email, url, key, name, save, baseline, plot)
        await ask_all(settings, wanted)

    run_command(run, data_dir=data_dir, quiet=True)
