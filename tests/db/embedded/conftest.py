"""Data directories to start, kill and damage."""

from collections.abc import Generator
from pathlib import Path

import pytest

from kyrochat.db.embedded import EmbeddedPostgres
from tests.db.embedded.processes import stop_what_is_left


@pytest.fixture(scope="session")
def started_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("started") / "data"
    EmbeddedPostgres.start(data_dir, durable=False).stop()
    return data_dir


@pytest.fixture
def data_dir(started_once: Path) -> Generator[Path, None, None]:
    """A data directory after its first start. The tests share it: making or copying one takes up to a second."""
    yield started_once
    stop_what_is_left(started_once)


@pytest.fixture
def empty_dir(tmp_path: Path) -> Generator[Path, None, None]:
    yield tmp_path / "new"
    stop_what_is_left(tmp_path / "new")
