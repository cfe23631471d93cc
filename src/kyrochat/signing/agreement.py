"""All processes of one database sign with the same key, or do not start."""

import logging

from kyrochat.db.engine import Database
from kyrochat.errors import ConfigurationError
from kyrochat.signing import repository
from kyrochat.signing.keys import SecretKeys, key_id

# The row of `installation` that names the current key; the key itself is nowhere in the database.
KEY_ID = "secret_key_id"

log = logging.getLogger(__name__)


async def agree_on_key(database: Database, keys: SecretKeys) -> None:
    """Check that the current key is that of the other processes, or follows it; the first one decides.

    Raises:
        ConfigurationError: it is another one.
    """
    current = key_id(keys.current)
    async with database.begin() as session:
        await repository.put_if_absent(session, KEY_ID, current)
        row = await repository.lock(session, KEY_ID)
        if row.value == current:
            return
        if keys.previous is None or row.value != key_id(keys.previous):
            raise ConfigurationError(
                "The secret key is not the one that this database has been used with, and neither is the previous one. "
                "Each process needs the same key: copy KYROCHAT_SECRET_KEY, or secret.key in the data directory, from "
                "where a server runs or from a backup. If it is lost, run: kyrochat secret accept"
            )
        row.value = current
        session.add(row)
    log.warning("The secret key was rotated; what the previous one signed is still believed")


async def accept_key(database: Database, keys: SecretKeys) -> bool:
    """Let the database be used with the current key from now on; say whether that changed anything."""
    current = key_id(keys.current)
    async with database.begin() as session:
        await repository.put_if_absent(session, KEY_ID, "")
        row = await repository.lock(session, KEY_ID)
        if row.value == current:
            return False
        row.value = current
        session.add(row)
    return True
