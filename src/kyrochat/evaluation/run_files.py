"""Runs as files: what an evaluation found, to compare later ones with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from kyrochat.errors import InvalidInput
from kyrochat.evaluation.scoring import summary
from kyrochat.evaluation.types import Run

FORMAT = 1
_RUN = TypeAdapter(Run)


def write_run(path: Path, run: Run) -> None:
    """Write a run as JSON, its figures first, for people and `jq`.

    Raises:
        InvalidInput: it cannot be written there.
    """
    data = {"kyrochat_evaluation": FORMAT, "figures": summary(run.results), "run": _RUN.dump_python(run, mode="json")}
    try:
        path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInput.at("save", f"{path} cannot be written ({error.strerror}).") from error


def read_run(path: Path) -> Run:
    """Read what `write_run` wrote.

    Raises:
        InvalidInput: it cannot be read, or is no run.
    """
    try:
        data: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data["kyrochat_evaluation"] != FORMAT:
            raise InvalidInput.at("baseline", f"{path} is of another format of KyroChat. Make the run anew.")
        return _RUN.validate_python(data["run"])
    except OSError as error:
        raise InvalidInput.at("baseline", f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput.at("baseline", f"{path} is no run that `kyrochat eval --save` wrote.") from error
