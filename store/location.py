"""What the location of a store means: the file of an SQLite store, or the database of a PostgreSQL server.

A password is never shown: `shown` is built from the parts that may be seen, not by cutting out those that may not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from torchglass.errors import StoreError

VARIABLE = "TORCHGLASS_STORE"
DEFAULT_PATH = "torchglass.db"
DEFAULT_SCHEMA = "torchglass"  # a schema of our own: a shared database may well have a table `runs` already
MASK = "***"

_SERVER_SCHEMES = ("postgresql", "postgres")
_SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_SHOWN_PARAMETERS = ("host", "hostaddr", "port", "dbname", "service")
_ENCODE = "write @ : / ? # & and % in its user, password and parameters as %40 %3A %2F %3F %23 %26 and %25"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# `Path("postgresql://host/db")` has lost a slash, and would become a file whose name holds the password.
_BROKEN_URL = re.compile(r"(postgres|postgresql)(\+\w+)?:", re.IGNORECASE)
_KEYWORDS = re.compile(r"(^|\s)(host|hostaddr|port|dbname|user|password|service)\s*=")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[^\s:\[\]]*)(:(\d*))?")
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")


@dataclass(frozen=True)
class FileLocation:
    """The file of an SQLite store, by its absolute path."""

    path: Path

    @property
    def shown(self) -> str:
        """The text for people."""
        return str(self.path)

    @property
    def address(self) -> str:
        """The text by which another process finds the same store."""
        return str(self.path)

    @property
    def folder(self) -> Path:
        """Where files that belong to a run are kept: beside the store."""
        return self.path.parent

    def without_secrets(self, text: str) -> str:
        """Return the text: a path keeps no secret."""
        return text

    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True)
class ServerLocation:
    """A schema in a database of a PostgreSQL server.

    What is in neither URL nor environment comes from where libpq looks: `PGPASSWORD`, `PGHOST`, `~/.pgpass`, ...
    """

    shown: str
    schema: str = field(repr=False)
    parameters: Mapping[str, str] = field(repr=False, compare=False)  # as libpq names them; the password among them
    address: str = field(repr=False)  # holds the password: for another process's environment, never for a screen

    @property
    def folder(self) -> Path:
        """Where files that belong to a run are kept: in the working folder, as a database has no place for them."""
        return Path.cwd()

    def without_secrets(self, text: str) -> str:
        """Mask whatever opens the database in a text that came from elsewhere, such as a driver's error."""
        known = [self.parameters[name] for name in _SECRETS if name in self.parameters]
        known.append(os.environ.get("PGPASSWORD", ""))
        spellings = {spelling for secret in known for spelling in (secret, quote(secret, safe=""), quote(secret))}
        spellings.add(self.address)
        for spelling in sorted(spellings - {""}, key=len, reverse=True):
            text = text.replace(spelling, MASK)
        return text

    def __str__(self) -> str:
        return self.shown


Location = FileLocation | ServerLocation


def locate(location: str | os.PathLike[str] | Location | None) -> Location:
    """Understand where a store is: the argument, else `TORCHGLASS_STORE`, else `./torchglass.db`.

    Raises:
        StoreError: for what is neither a path nor a URL of a database that torchglass speaks; it quotes no part of a
            URL, for any of them may be a piece of a badly written password.
    """
    if isinstance(location, FileLocation | ServerLocation):
        return location
    if location is not None and not isinstance(location, str | os.PathLike):
        raise StoreError(f"a store is given by its path, not {type(location).__name__}: such as {DEFAULT_PATH!r}")
    given = os.fspath(location) if location is not None else os.environ.get(VARIABLE) or DEFAULT_PATH
    text = given.strip()
    scheme = _SCHEME.match(text)
    if scheme is not None and scheme[1].lower().partition("+")[0] in _SERVER_SCHEMES:
        return _server(text[scheme.end() :], address=text)
    if text.startswith("sqlite:///"):
        given = text.removeprefix("sqlite:///")
    elif "://" in text:
        what = f"{scheme[1]}://" if scheme is not None else "a URL that does not begin with its scheme"
        raise StoreError(f"a store at {what} is not supported: give the path of a SQLite file, or a postgresql:// URL")
    elif _BROKEN_URL.match(text):
        raise StoreError("the URL of a database begins with postgresql:// and is given as text, not as a Path")
    elif _KEYWORDS.search(text):
        raise StoreError("a database is given as postgresql://user:password@host/database, not as key=value pairs")
    return FileLocation(Path(given).expanduser().absolute())


def _server(rest: str, address: str) -> ServerLocation:
    """Read what follows `postgresql://`, more strictly than libpq, which takes the pieces of a password for a host."""
    if _BLANK.search(rest):
        raise StoreError("the URL of the store holds blanks or control characters: write a space as %20")
    front, _, query = rest.partition("?")
    authority, _, database = front.partition("/")
    if "@" in database or "@" in query or "/" in database:
        raise StoreError(f"the URL of the store cannot be understood: {_ENCODE}")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    matches = [_HOST.fullmatch(host) for host in hosts.split(",")]
    found = [match for match in matches if match is not None]
    if len(found) < len(matches):
        raise StoreError(
            "the host or port in the URL of the store cannot be understood: say postgresql://host:5432/database, and "
            + _ENCODE
        )
    parameters = {
        "host": ",".join(_decoded(match[1].strip("[]")) for match in found),
        "port": ",".join(match[4] or "" for match in found),
        "user": _decoded(user),
        "password": _decoded(password),
        "dbname": _decoded(database),
    }
    parameters = {name: value for name, value in parameters.items() if value.strip(",")}
    parameters |= dict(_parameter(entry) for entry in query.split("&") if entry)
    schema = parameters.pop("schema", "" if "search_path" in parameters.get("options", "") else DEFAULT_SCHEMA)
    return ServerLocation(_shown(hosts, database, query), schema, parameters, address)


def _parameter(entry: str) -> tuple[str, str]:
    name, equals, value = entry.partition("=")
    if not equals or "=" in value or not re.fullmatch(r"[a-z_]+", name):
        raise StoreError(f"a parameter in the URL of the store cannot be understood: say ?name=value, and {_ENCODE}")
    return name, _decoded(value)


def _decoded(text: str) -> str:
    if _BAD_PERCENT.search(text):
        raise StoreError(f"a % in the URL of the store cannot be understood: {_ENCODE}")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        # Not chained: that error's text and object hold the bytes.
        raise StoreError("the URL of the store holds bytes that are no UTF-8: percent-encode it as UTF-8") from None


def _shown(hosts: str, database: str, query: str) -> str:
    seen = [entry for entry in query.split("&") if entry.partition("=")[0] in (*_SHOWN_PARAMETERS, "schema")]
    return f"postgresql://{hosts}{'/' * bool(database)}{database}{'?' * bool(seen)}{'&'.join(seen)}"
