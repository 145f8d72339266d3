"""What a location means, and that no password in it is ever shown, however badly the URL is written."""

from __future__ import annotations

import pickle
from pathlib import Path
from urllib.parse import quote

import pytest

from torchglass.errors import StoreError
from torchglass.store.location import FileLocation, ServerLocation, locate

AWKWARD = ["secret", "s@cret", "sec:ret", "sec/ret", "s%cret", "s%40cret", "sec?ret", "sec#ret", "@:/%?#&=", "gehäim 7"]


def server(url: str) -> ServerLocation:
    location = locate(url)
    assert isinstance(location, ServerLocation)
    return location


def texts(location: ServerLocation) -> str:
    return " ".join((location.shown, str(location), repr(location), f"{location}", repr([location])))


def test_a_path_comes_from_the_argument_or_the_environment_or_is_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TORCHGLASS_STORE", raising=False)
    assert locate(None) == FileLocation(tmp_path / "torchglass.db")
    monkeypatch.setenv("TORCHGLASS_STORE", "sqlite:///other.db")
    assert locate(None) == FileLocation(tmp_path / "other.db")
    assert locate(Path("a") / "b.db") == FileLocation(tmp_path / "a" / "b.db")
    assert locate("sqlite:////data/a.db") == FileLocation(Path("/data/a.db"))
    monkeypatch.setenv("TORCHGLASS_STORE", "postgresql://there/db")
    assert str(locate(None)) == "postgresql://there/db"
    assert locate(locate(None)) == locate(None)


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "PostgreSQL", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_each_part_of_a_url_becomes_the_parameter_that_libpq_names_so(scheme: str) -> None:
    location = server(f"{scheme}://me:secret@db.example:6543/runs?sslmode=require&connect_timeout=7")
    assert location.parameters == {
        "host": "db.example",
        "port": "6543",
        "user": "me",
        "password": "secret",
        "dbname": "runs",
        "sslmode": "require",
        "connect_timeout": "7",
    }
    assert location.shown == "postgresql://db.example:6543/runs"
    assert "require" not in location.shown


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://%2Fvar%2Frun/db", "/var/run", None),
        ("postgresql:///db?host=/var/run&port=77", "/var/run", "77"),
        ("postgresql://[::1]:5433/db", "::1", "5433"),
        ("postgresql://[fe80::1%25eth0]/db", "fe80::1%eth0", None),
        ("postgresql://a:1,b:2/db", "a,b", "1,2"),
        ("postgresql://a,b:2/db", "a,b", ",2"),
        ("postgresql:///db", None, None),
        ("postgresql://", None, None),
    ],
)
def test_hosts_may_be_sockets_ipv6_several_or_left_to_the_environment(
    url: str, host: str | None, port: str | None
) -> None:
    location = server(url)
    assert (location.parameters.get("host"), location.parameters.get("port")) == (host, port)
    assert location.shown == url


@pytest.mark.parametrize(
    ("query", "schema", "shown"),
    [
        ("", "torchglass", ""),
        ("?schema=team", "team", "?schema=team"),
        ("?password=x&schema=a%22b&sslmode=require", 'a"b', "?schema=a%22b"),
        ("?options=-csearch_path%3Dteam", "", ""),
        ("?options=-cstatement_timeout%3D7", "torchglass", ""),
    ],
)
def test_the_schema_is_ours_unless_the_url_names_another(query: str, schema: str, shown: str) -> None:
    location = server(f"postgresql://host/db{query}")
    assert location.schema == schema
    assert location.shown == f"postgresql://host/db{shown}"
    assert "schema" not in location.parameters


@pytest.mark.parametrize("password", AWKWARD)
@pytest.mark.parametrize("form", ["postgresql://me:{}@host/db", "postgresql://host/db?user=me&password={}&port=5"])
def test_an_encoded_password_arrives_whole_and_is_never_shown(form: str, password: str) -> None:
    location = server(form.format(quote(password, safe="")))
    assert location.parameters["password"] == password
    assert location.parameters["user"] == "me"
    assert (location.parameters["host"], location.parameters["dbname"]) == ("host", "db")
    told = location.without_secrets(f"no: {password!s} {quote(password, safe='')} {quote(password)} {location.address}")
    for text in (texts(location), told):
        assert password not in text
        assert quote(password, safe="") not in text
    assert pickle.loads(pickle.dumps(location)).parameters == location.parameters


@pytest.mark.parametrize("password", AWKWARD)
@pytest.mark.parametrize(
    "form",
    [
        "postgresql://me:{}@host/db",
        "postgresql://me:{}@host:5432/db?sslmode=require",
        "postgresql://me:{}@host:no/db",
        "postgresql://me:{}@host:1:2/db",
        "postgresql://me:{}@[::1/db",
        "postgresql://me:{}@/db",
        "postgresql://{}@host/db",
        "postgresql://host/db?password={}",
        "postgresql://host/db?password={}&schema=a",
        "postgresql://host/db?passwort={}&Schema=a",
        "postgresql:/me:{}@host/db",
        "postgresql:me:{}@host/db",
        "postgresql://me:{}@host/d b",
        " postgresql://me:{}@host/db\n",
        "mysql://me:{}@host/db",
        "jdbc:postgresql://me:{}@host/db",
        "host=host password={} dbname=db",
        "dbname=db password = '{}'",
    ],
)
def test_a_password_written_as_it_is_works_or_is_refused_and_never_quoted(form: str, password: str) -> None:
    url = form.format(password)
    pieces = [piece for piece in ("secret", "cret", "sec:", "sec/", "gehäim", password) if piece in password]
    try:
        location = locate(url)
    except StoreError as error:
        told = f"{error} {error!r} {error.__cause__!r}"
    else:
        assert isinstance(location, ServerLocation), "a URL became the name of a file"
        told = texts(location)
    assert not [piece for piece in pieces if len(piece) > 1 and piece in told]
    assert "\n" not in told


def test_a_plain_at_sign_or_colon_in_a_password_needs_no_encoding() -> None:
    assert server("postgresql://me:a@b:c#d@host/db").parameters["password"] == "a@b:c#d"


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("postgresql://me:a/b@host/db", "write @ : / .* as %40 %3A %2F"),
        ("postgresql://me:a?b@host/db", "write @ : / .* as %40 %3A %2F"),
        ("postgresql://me:50%off@host/db", "a % in the URL of the store"),
        ("postgresql://me:%FFoff@host/db", "percent-encode it as UTF-8"),
        ("postgresql://me:%00@host/db", "a % in the URL of the store"),
        ("postgresql://host:port/db", "the host or port in the URL"),
        ("postgresql://host/db?sslmode", r"say \?name=value"),
        ("postgresql://host/a b", "a space as %20"),
        ("mysql://me:secret@host/db", "a store at mysql:// is not supported: give the path of a SQLite file"),
        (Path("postgresql://host/db"), "given as text, not as a Path"),
        ("host=there password=x", "not as key=value pairs"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_way_to_write_it(location: str | Path, words: str) -> None:
    with pytest.raises(StoreError, match=words) as refusal:
        locate(location)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("location", [5, object(), b"store.db"])
def test_a_location_that_is_no_path_is_refused_with_its_type(location: object) -> None:
    with pytest.raises(StoreError, match=f"not {type(location).__name__}"):
        locate(location)  # type: ignore[arg-type]


def test_a_password_from_the_environment_is_masked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "from outside")
    assert server("postgresql://host/db").without_secrets("wrong: from outside") == "wrong: ***"
