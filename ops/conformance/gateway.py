"""The gateway as a user starts it: the console command, with a PostgreSQL of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COLDQUERY = str(Path(sys.executable).with_name("coldquery"))
START_LIMIT_S = 120
STOP_LIMIT_S = 30


@dataclass(frozen=True)
class Gateway:
    """One that serves over HTTP, and where the data of its PostgreSQL is, which others may share."""

    url: str
    data_dir: Path


@contextmanager
def serving(*, express: bool) -> Iterator[Gateway]:
    """Start it on a free port, in a directory that goes with it; wait until it serves.

    Args:
        express: whether calls may go past FastMCP.

    Raises:
        RuntimeError: it did not start.
    """
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="coldquery-conformance-") as name:
        home = Path(name)
        # When this runs as root the server runs as somebody else, who must be let in.
        home.chmod(0o755)
        data_dir, log = home / "data", home / "gateway.log"
        ours = ("COLDQUERY_", "PG", "DB_", "DATABASE_URL")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [
                    *(COLDQUERY, "serve", "--port", "0", "--data-dir", str(data_dir)),
                    "--express" if express else "--no-express",
                ],
                env={**environment, "XDG_RUNTIME_DIR": name},
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )
        try:
            yield Gateway(_url(process, log), data_dir)
        finally:
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < give_up:
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("\n") and '"serving"' in line:
                url: str = json.loads(line)["url"]
                return url
        time.sleep(0.05)
    raise RuntimeError(f"The gateway did not start:\n{log.read_text()}")
