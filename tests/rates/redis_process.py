"""A real redis-server on a free loopback port, that tests kill, freeze and start again."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

REDIS_SERVER = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(REDIS_SERVER is None, reason="there is no redis-server on this machine")


class RedisProcess:
    """A server that keeps nothing on disk. Its port stays the same for all its starts."""

    def __init__(self, directory: Path, password: str | None = None) -> None:
        self._directory, self._password = directory, password
        self._process: subprocess.Popen[str] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        assert REDIS_SERVER is not None
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory), "--save", ""]
        if self._password is not None:
            options += ["--requirepass", self._password]
        self._process = subprocess.Popen([REDIS_SERVER, *options], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                return
        pytest.fail("".join(said))

    def kill(self) -> None:
        """Kill the server, with all that it counted."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Leave the server there, but let it do nothing: connections open, and stay silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
