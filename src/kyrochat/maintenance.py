"""`kyrochat reconcile`: what an operator looks at once in a while."""

from collections.abc import Callable
from typing import Any

from kyrochat.documents.reconcile import Orphans
from kyrochat.errors import KyroError
from kyrochat.local import opened
from kyrochat.settings import Settings

Echo = Callable[..., Any]


async def reconcile(settings: Settings, echo: Echo, *, repair: bool) -> None:
    """Print the orphans of each workspace, and see to them with `repair`.

    Raises:
        KyroError: there are some, and they were left alone or cannot be helped.
    """
    left = 0
    async with opened(settings) as runtime:
        reconciler = runtime.reconciler
        async for orphans in reconciler.find():
            for line in _lines(orphans):
                echo(line)
            if repair:
                await reconciler.repair(orphans)
            left += len(orphans.rows_without_files) if repair else 1
    if not left:
        echo("Repaired what there was." if repair else "Rows, files and vectors agree.")
    elif repair:
        raise KyroError("The files of some documents are missing: add them again, or restore them from a backup.")
    else:
        raise KyroError("Rows, files and vectors differ. See to it with: kyrochat reconcile --repair")


def _lines(orphans: Orphans) -> list[str]:
    where = f"Workspace {orphans.workspace_id}" if orphans.workspace_id else "No workspace"
    counts = (
        (len(orphans.files_without_rows), "files without a document"),
        (len(orphans.rows_without_files), "documents without their file"),
        (len(orphans.vectors_without_rows), "vectors without a passage"),
        (len(orphans.rows_without_vectors), "documents with passages without a vector"),
        (orphans.chunks_of_no_version, "passages of versions that are not searched"),
    )
    return [f"{where}: {number:,} {what}" for number, what in counts if number]
