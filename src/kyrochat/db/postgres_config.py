"""The embedded PostgreSQL's settings: private by default, small, and silent about what documents say."""

import os
from pathlib import Path

from kyrochat.db.private_file import write_private
from kyrochat.db.roles import APP, OWNER, WORKER

PORT = 5432  # only part of the socket's file name: nothing listens on the network
LOG_DIRECTORY = "log"

_SMALL_MACHINE_BYTES = 4 * 1024**3

# Nobody but these three logs in, and only through the socket: the superuser has no line, and no password either.
_HOST_BASED_AUTHENTICATION = f"""\
# KyroChat writes this file at every start.
local all {OWNER},{APP},{WORKER} scram-sha-256
local all all reject
"""

_TUNING = """\
# KyroChat writes this file at every start. Put settings of your own into postgresql.local.conf.
shared_buffers = {shared_buffers}
max_connections = 100
jit = off
max_wal_size = 512MB
# No replicas and no base backups: less is written. Back up with pg_dump, or by copying a stopped server.
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
fsync = {durable}
full_page_writes = {durable}
synchronous_commit = {durable}

include_if_exists 'postgresql.local.conf'

# What follows is not for tuning, so it comes after your settings.
port = {port}
listen_addresses = ''
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700
password_encryption = scram-sha-256
cluster_name = 'kyrochat'
timezone = 'UTC'

# One file per weekday, overwritten a week later.
logging_collector = on
log_directory = '{log_directory}'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_file_mode = 0600
log_timezone = 'UTC'
# Document text must never reach the log. Errors carry it in their message ("invalid input: ..."), so they are left to
# the client, which gets them anyway; a crash report carries the statement in its DETAIL, so details are left out.
log_min_messages = log
log_error_verbosity = terse
log_min_error_statement = panic
log_statement = none
log_min_duration_statement = -1
log_min_duration_sample = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_autovacuum_min_duration = -1
log_checkpoints = off
log_lock_waits = off
"""


def write_configuration(cluster: Path, *, socket_dir: Path, durable: bool, owner: tuple[int, int] | None) -> None:
    """Write `postgresql.conf` and `pg_hba.conf` of a stopped server; a change made to them by hand is undone."""
    settings = _TUNING.format(
        shared_buffers="256MB" if durable and _memory_bytes() > _SMALL_MACHINE_BYTES else "128MB",
        durable="on" if durable else "off",
        port=PORT,
        socket_dir=socket_dir,
        log_directory=LOG_DIRECTORY,
    )
    for name, text in (("postgresql.conf", settings), ("pg_hba.conf", _HOST_BASED_AUTHENTICATION)):
        path = cluster / name
        if path.is_symlink() or path.read_text(encoding="utf-8") != text:
            write_private(path, text, owner=owner)


def configured_socket_dir(cluster: Path) -> Path:
    """Return the socket's directory that was last written."""
    settings = (cluster / "postgresql.conf").read_text(encoding="utf-8")
    # Not there in a file that somebody else wrote; "" is no directory of ours then.
    _, _, rest = settings.rpartition("\nunix_socket_directories = '")
    return Path(rest.partition("'")[0])


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
