"""A PostgreSQL server of the tests' own: made in a temporary folder, stopped and removed with the process that made it.

It is as strange as a real one may be: an ordinary user with an awkward password, and text sorted by language. Only
`fsync` is off, as nothing of it outlives the tests.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

PROGRAMS = ("initdb", "postgres")
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
ADMINISTRATOR, USER, PASSWORD, DATABASE = "administrator", "trainer", "p@ss:w/o%rd?#&", "runs"
START_SECONDS = 60.0
SETTINGS = {
    "listen_addresses": "",  # a socket in the server's own folder: no port to clash over
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "log_statement": "none",
}
# Lives on until the tests' process lets go of the pipe, however that ends; then nothing of the server stays.
UNDERTAKER = """
cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
    kill -QUIT "$pid" 2>/dev/null
    for _ in $(seq 200); do [ -e "$1/data/postmaster.pid" ] || break; sleep 0.02; done
fi
rm -rf "$1"
"""


def missing_program() -> str | None:
    """Name of a program that a server needs and this machine lacks; None when all are there."""
    return next((program for program in PROGRAMS if find_program(program) is None), None)


def find_program(name: str) -> str | None:
    """Path of one of the server's programs, of the newest version where several are installed."""
    places = [str(found) for pattern in FOLDERS for found in Path("/").glob(pattern.lstrip("/"))]
    places.sort(key=lambda place: [int(number) for number in re.findall(r"\d+", place)], reverse=True)
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))


class Server:
    """A running server; a test may stop it, and start it again with what it held."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="torchglass-postgresql-", dir="/tmp"))  # a socket's path is short
        self._undertaker = subprocess.Popen(
            ["sh", "-c", UNDERTAKER, "sh", str(self.folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._schemas = 0
        self._make()
        self.start()
        self._make_user_and_database()

    def url(self, *, schema: str | None = None, password: str = PASSWORD, database: str = DATABASE) -> str:
        """Address of a schema, by default one that nobody used before; the store makes it on first use."""
        if schema is None:
            self._schemas += 1
            schema = f"test{self._schemas}"
        host = quote(str(self.folder), safe="")
        return f"postgresql://{USER}:{quote(password, safe='')}@{host}/{database}?schema={quote(schema)}"

    def start(self) -> None:
        """Start serving, and return when connections are taken."""
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        program = find_program("postgres")
        assert program is not None
        command = [program, "-D", str(self.folder / "data"), "-k", str(self.folder), *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **_ordinary_user()
            )
        give_up_at = time.monotonic() + START_SECONDS
        # The last line of this file says so: https://www.postgresql.org/docs/current/storage-file-layout.html
        while not self._pid_file().rstrip().endswith("ready"):
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"PostgreSQL does not start: {self.log()[-2000:]}")
            time.sleep(0.01)

    def stop(self, *, crash: bool = False) -> None:
        """Stop serving: end every connection, and with `crash` also leave the files as a power cut would."""
        assert self._process is not None
        self._process.send_signal(3 if crash else 2)  # SIGQUIT: immediate; SIGINT: fast
        self._process.wait(START_SECONDS)

    def log(self) -> str:
        """What the server said so far."""
        return (self.folder / "log").read_text(errors="replace")

    def administer(self, statement: str, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Run one statement as the administrator, and return its rows."""
        import psycopg

        with psycopg.connect(
            host=str(self.folder), user=ADMINISTRATOR, password=PASSWORD, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        """Stop the server and leave nothing behind."""
        assert self._undertaker.stdin is not None
        self._undertaker.stdin.close()
        self._undertaker.wait(START_SECONDS)
        if self._process is not None:
            self._process.wait(START_SECONDS)

    def _make(self) -> None:
        identity = _ordinary_user()
        if identity:
            os.chown(self.folder, identity["user"], identity["group"])
        password_file = self.folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)  # its folder is private
        program = find_program("initdb")
        assert program is not None
        command = [program, "-D", str(self.folder / "data"), "-U", ADMINISTRATOR, f"--pwfile={password_file}"]
        command += ["-E", "UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync", "--no-instructions"]
        # Sorted by language, as most servers are and SQLite is not; before version 15 initdb cannot.
        for attempt in (["--locale-provider=icu", "--icu-locale=en-US"], []):
            made = subprocess.run([*command, *attempt], capture_output=True, text=True, cwd="/", **identity)
            if made.returncode == 0:
                return
            shutil.rmtree(self.folder / "data", ignore_errors=True)
        raise RuntimeError(f"initdb fails: {made.stderr[-2000:]}")

    def _make_user_and_database(self) -> None:
        self.administer(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'", "postgres")
        self.administer(f"CREATE DATABASE {DATABASE} OWNER {USER}", "postgres")

    def _pid_file(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "data" / "postmaster.pid").read_text()
        return ""


def _ordinary_user() -> dict[str, Any]:
    """Whom a server runs as when the tests run as root, which PostgreSQL refuses; nothing for anybody else."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody'")


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Have a server for as long as the block runs."""
    server = Server()
    try:
        yield server
    finally:
        server.remove()


if __name__ == "__main__":
    lacking = missing_program()
    if lacking is not None:
        print(f"{lacking} is not installed (Debian and Ubuntu: apt-get install postgresql)", file=sys.stderr)
    sys.exit(lacking is not None)
