"""Both doors lead into the same house: the same routes, the same headers, the same refusals, and no torch inside."""

from __future__ import annotations

import copy
import http.client
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
from driving import READY, ROOT, Server, by_streamlit_run, by_torchglass_ui, free_port
from guarding import GIVEN_NAME, HOSTILE_ENVIRONMENT, NAME, PASSWORD, hostile_folder
from streamlit import config
from streamlit.config import get_config_options

from torchglass.dashboard.answering.api import HEALTH_PATH, SERIES_PATH, WINDOW_PATH
from torchglass.dashboard.answering.plotly_route import PATHS as BUILDS
from torchglass.dashboard.serving.login.admission import Admission
from torchglass.dashboard.serving.security import SECURITY_HEADERS
from torchglass.dashboard.serving.server import LEFT_ALONE, LOOK, PINNED, app_parts

if TYPE_CHECKING:
    from playwright.sync_api import Page

PLOTLY_PATH = BUILDS["full"]
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


def ask(
    server: Server, path: str, headers: dict[str, str] | None = None, method: str = "GET", body: str = ""
) -> Answer:
    """One request with exactly these headers; a Host header given replaces the true one."""
    address = urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    length = {"Content-Length": str(len(body))} if body else {}
    for name, value in {"Host": address, **length, **(headers or {})}.items():
        connection.putheader(name, value)
    connection.endheaders(body.encode() or None)
    answer = connection.getresponse()
    said = b"" if answer.status == 101 else answer.read()
    connection.close()
    return Answer(answer.status, answer.headers, said)


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
    assert set(PINNED) | set(LEFT_ALONE) <= set(get_config_options())
    assert "runner.postScriptGC" in get_config_options()  # hidden, and worth three quarters of the server's time


def test_the_environment_of_these_tests_is_one_that_streamlit_reads() -> None:
    assert set(HOSTILE_ENVIRONMENT) <= {option.env_var for option in get_config_options().values()}


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


DOORS = {
    "torchglass ui": lambda: by_torchglass_ui(free_port(), "--host", "0.0.0.0"),
    "streamlit run": lambda: by_streamlit_run(free_port(), "--server.address", "0.0.0.0"),
    "streamlit run, no address": lambda: by_streamlit_run(free_port(), "--server.address", ""),
}


@pytest.mark.parametrize("name", DOORS)
def test_a_server_that_others_can_reach_does_not_start_without_a_log_in(name: str, tmp_path: Path) -> None:
    told = subprocess.run(DOORS[name](), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode != 0
    assert "can be reached from other machines" in told.stderr
    assert "--password-file FILE (or TORCHGLASS_PASSWORD_FILE)" in told.stderr
    assert "Traceback" not in told.stderr
    assert READY not in told.stdout


@pytest.fixture(params=["ui_server_with_login", "clone_server_with_login"])
def guarded(request: pytest.FixtureRequest) -> Server:
    """Each door of a server that listens on every address and asks for a password."""
    server: Server = request.getfixturevalue(request.param)
    return server


def log_in(server: Server) -> dict[str, str]:
    """The cookie of a session."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(server, "/login", form, "POST", urlencode({"name": NAME, "password": PASSWORD}))
    assert answer.status == 303
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_every_door_asks_for_the_password_on_page_route_file_and_websocket(guarded: Server) -> None:
    origin = {**UPGRADE, "Origin": guarded.url}
    inside = log_in(guarded)
    for path in ("/", "/training", HEALTH_PATH, PLOTLY_PATH, "/_stcore/health", "/_stcore/host-config", "/media/x.png"):
        assert (path, ask(guarded, path).status) == (path, 401)
        assert ask(guarded, path, inside).status != 401
    assert ask(guarded, WEBSOCKET, origin).status == 401
    assert ask(guarded, WEBSOCKET, {**origin, **inside}).status == 101


def test_a_name_that_was_given_is_taken_and_every_other_is_rebinding(guarded: Server) -> None:
    port = urlsplit(guarded.url).port
    inside = log_in(guarded)
    for host, status in ((f"{GIVEN_NAME}:{port}", 200), (GIVEN_NAME, 200), ("evil.example", 400), ("0.0.0.0", 400)):
        for path in ("/", HEALTH_PATH):
            assert (host, ask(guarded, path, {"Host": host, **inside}).status) == (host, status)
            refused = 400 if status == 400 else 401
            assert (host, ask(guarded, path, {"Host": host}).status) == (host, refused)
        upgrade = {**UPGRADE, "Host": host, "Origin": f"http://{host}"}
        assert ask(guarded, WEBSOCKET, {**upgrade, **inside}).status == (101 if status == 200 else 400)
    foreign = {**UPGRADE, **inside, "Origin": "http://evil.example"}
    assert ask(guarded, WEBSOCKET, foreign).status == 403


@pytest.mark.browser
def test_a_visitor_logs_in_comes_where_they_wanted_and_logs_out_of_every_tab(
    ui_server_with_login: Server, page: Page
) -> None:
    server = ui_server_with_login
    with server.fresh_store() as store:
        store.end_run(store.start_run("a & b", {}, host="h", pid=1).id, "finished")
    page.goto(f"{server.url}/devices?run=a+%26+b")
    page.wait_for_url("**/login?**")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("alert").get_by_text("do not belong together").wait_for()
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Devices").wait_for()
    assert page.url == f"{server.url}/devices?run=a+%26+b"
    other = page.context.new_page()
    other.goto(server.url)
    other.get_by_role("heading", name="Runs").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    other.get_by_text("log in first").first.wait_for()


def test_no_option_that_a_page_s_safety_rests_on_is_another_s_to_set(door: Server) -> None:
    told = json.loads(ask(door, "/_stcore/host-config").body)
    assert told["allowedOrigins"] == []
    assert ask(door, "/_stcore/agent/interact", method="POST").status in (403, 404, 405)
    assert (
        ask(door, "/_stcore/health", {"Origin": "http://evil.example"}).headers["access-control-allow-origin"] is None
    )


def test_pinned_options_outlast_a_configuration_that_changes_under_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = copy.deepcopy(get_config_options())
    monkeypatch.chdir(hostile_folder(tmp_path, "address = '127.0.0.1'"))
    monkeypatch.setattr(config, "_config_options", before)
    monkeypatch.setattr(config, "_main_script_path", None)
    wanted = {**PINNED, **LEFT_ALONE}
    app_parts(admitted=Admission())
    get_config_options(force_reparse=True)
    now = {key: option.value for key, option in get_config_options().items() if key in wanted}
    now["server.allowedHosts"] = sorted(now["server.allowedHosts"], key=wanted["server.allowedHosts"].index)
    unpinned = {"server.address": "127.0.0.1", "server.headless": now["server.headless"]}
    assert now == {**wanted, **unpinned}


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
