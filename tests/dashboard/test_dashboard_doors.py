"""Both doors lead into the same house: the same routes, the same headers, the same refusals, and no torch inside."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from driving import ROOT, Server, free_port
from streamlit.config import get_config_options

from torchglass.dashboard import serve
from torchglass.dashboard.api import HEALTH_PATH, PLOTLY_PATH, SERIES_PATH, WINDOW_PATH
from torchglass.dashboard.security import SECURITY_HEADERS
from torchglass.dashboard.server import LOOK, PINNED
from torchglass.errors import OptionError

PATHS = ["/", "/training", HEALTH_PATH, PLOTLY_PATH, SERIES_PATH, "/_stcore/health", "/nowhere.js"]
WEBSOCKET = "/_stcore/stream"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(params=["ui_server", "clone_server"])
def door(request: pytest.FixtureRequest) -> Server:
    """Each of the two doors in turn."""
    server: Server = request.getfixturevalue(request.param)
    return server


class Answer(NamedTuple):
    """What a server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(server: Server, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
    """One request with exactly these headers; a Host header given replaces the true one."""
    address = urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": address, **(headers or {})}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = b"" if answer.status == 101 else answer.read()
    connection.close()
    return Answer(answer.status, answer.headers, body)


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_security_headers(door: Server, path: str) -> None:
    answer = ask(door, path)
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "frame-ancestors 'none'" in SECURITY_HEADERS["content-security-policy"]


def test_the_websocket_handshake_carries_them_too(door: Server) -> None:
    answer = ask(door, WEBSOCKET, {**UPGRADE, "Origin": door.url})
    assert answer.status == 101
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize("path", ["/", HEALTH_PATH, SERIES_PATH, PLOTLY_PATH, WEBSOCKET])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "", "[::1"])
def test_a_foreign_host_is_refused_on_page_route_and_websocket(door: Server, path: str, host: str) -> None:
    headers = {"Host": host} | ({**UPGRADE, "Origin": f"http://{host}"} if path == WEBSOCKET else {})
    answer = ask(door, path, headers)
    assert answer.status == 400
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_foreign_origin_is_refused_on_the_websocket(door: Server) -> None:
    assert ask(door, WEBSOCKET, {**UPGRADE, "Origin": "http://evil.example"}).status == 403


@pytest.mark.parametrize("path", [SERIES_PATH, WINDOW_PATH])
@pytest.mark.parametrize("headers", [{}, {"X-Torchglass-Token": "guess"}])
def test_a_route_without_the_token_is_refused(door: Server, path: str, headers: dict[str, str]) -> None:
    answer = ask(door, f"{path}?run=1&known=0", headers)
    assert answer.status == 403
    assert answer.headers["cache-control"] == "no-store"


def test_only_get_is_answered(door: Server) -> None:
    assert ask(door, SERIES_PATH, method="POST").status == 405


def test_plotly_is_sent_compressed_and_kept_for_good(door: Server) -> None:
    answer = ask(door, PLOTLY_PATH, {"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert len(answer.body) < 2_000_000


def test_the_page_process_never_loads_torch(door: Server) -> None:
    ask(door, "/training")
    maps = Path(f"/proc/{door.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    assert "libtorch" not in maps.read_text()


def test_importing_every_page_loads_no_torch() -> None:
    code = "import sys, torchglass.dashboard.navigation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_configuration_of_both_doors_is_the_same() -> None:
    written = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert _flat(written) == {**PINNED, **LOOK}


def test_every_pinned_option_exists() -> None:
    assert set(PINNED) <= set(get_config_options())


def _flat(table: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def test_a_port_that_is_taken_is_one_clear_sentence(ui_server: Server) -> None:
    port = urlsplit(ui_server.url).port
    result = subprocess.run(
        [sys.executable, "-m", "torchglass", "ui", "--port", str(port)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.startswith(f"torchglass: port {port} on 127.0.0.1 is taken")
    assert "Traceback" not in result.stderr


def test_a_host_that_others_can_reach_is_refused() -> None:
    with pytest.raises(OptionError, match=r"'0.0.0.0' can be reached from other machines"):
        serve(host="0.0.0.0", port=free_port())


def test_the_servers_listen_on_this_machine_alone(door: Server) -> None:
    if not os.path.exists("/proc/net/tcp"):
        pytest.skip("needs /proc")
    port = urlsplit(door.url).port
    assert port is not None
    rows = [line.split() for table in ("tcp", "tcp6") for line in _lines(f"/proc/net/{table}")]
    listening = [row[1] for row in rows if row[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()[1:] if os.path.exists(path) else []
