"""The log-in: nothing is shown before it, guessing is slow, and a session ends when it is told to."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest
from asked import Answer, ask, behind, finished
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from torchglass.dashboard.answering.api import HEALTH_PATH, SERIES_PATH
from torchglass.dashboard.answering.plotly_route import PATHS as BUILDS
from torchglass.dashboard.serving.login.attempts import (
    FORGET_SECONDS,
    FREE_TRIES,
    LONGEST_SECONDS,
    OVERALL_FREE,
    Attempts,
)
from torchglass.dashboard.serving.login.connection import POLICY_VIOLATION, until_the_end
from torchglass.dashboard.serving.login.page import login_page, preferred, safe_next
from torchglass.dashboard.serving.login.password_login import MOST_FORM_BYTES, PasswordLogin
from torchglass.dashboard.serving.login.sessions import IDLE_SECONDS, MOST_SESSIONS, Sessions
from torchglass.dashboard.serving.login.sessions import LONGEST_SECONDS as LONGEST_SESSION
from torchglass.passwords import Hash, Passwords

PLOTLY_PATH = BUILDS["full"]
SECRET = "correct horse battery"
EVERYTHING = ["/", "/training", "/_stcore/health", "/_stcore/host-config", "/media/x", "/_stcore/upload_file/a/b"]
EVERYTHING += [HEALTH_PATH, SERIES_PATH, PLOTLY_PATH, "/static/js/index.js", "/nowhere", "//login", "/login/", "/LOGIN"]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def hashes() -> Passwords:
    """The password file of the tests, its hash cheap to compute."""
    salt = b"0123456789abcdef"
    digest = hashlib.scrypt(SECRET.encode(), salt=salt, n=2**11, r=8, p=1, dklen=32)
    return Passwords({"ada": Hash(2**11, 8, 1, salt, digest)})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def login(clock: Clock) -> PasswordLogin:
    """The middleware before an app that would tell."""
    return PasswordLogin(behind, hashes(), Sessions(clock), Attempts(clock))


def post(
    login: PasswordLogin, headers: Mapping[str, str] | None = None, client: str = "192.0.2.7", **fields: str
) -> Answer:
    form = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
    return ask(login, "/login", method="POST", headers=form, body=urlencode(fields).encode(), client=client)


def cookie_of(answer: Answer) -> dict[str, str]:
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


@pytest.mark.parametrize("path", EVERYTHING)
@pytest.mark.parametrize("headers", [{}, {"cookie": "torchglass_8501=guess"}, {"accept": "text/html"}])
def test_nothing_is_answered_without_a_session(login: PasswordLogin, path: str, headers: dict[str, str]) -> None:
    for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"):
        answer = ask(login, path, method=method, headers=headers)
        assert answer.status == 401
        assert b"secret" not in answer.body


def test_no_websocket_opens_without_a_session(login: PasswordLogin) -> None:
    assert ask(login, "/_stcore/stream", kind="websocket").status == 401
    inside = cookie_of(post(login, name="ada", password=SECRET))
    assert ask(login, "/_stcore/stream", kind="websocket", headers=inside).status == 101


def test_the_right_password_opens_everything_and_logging_out_closes_it(login: PasswordLogin) -> None:
    answer = post(login, name="ada", password=SECRET, next="/training?run=a&step=3")
    assert (answer.status, answer.headers["location"]) == (303, "/training?run=a&step=3")
    inside = cookie_of(answer)
    assert ask(login, "/api/v1/series", headers=inside).text == "the secret of /api/v1/series"
    assert ask(login, "/logout", method="GET", headers=inside).status == 403
    out = ask(login, "/logout", method="POST", headers=inside)
    assert (out.status, "Max-Age=0" in out.headers["set-cookie"]) == (200, True)
    assert ask(login, "/api/v1/series", headers=inside).status == 401


def test_the_cookie_is_hidden_from_scripts_and_other_sites_and_is_new_each_time(login: PasswordLogin) -> None:
    first, second = (post(login, name="ada", password=SECRET).headers["set-cookie"] for _ in range(2))
    assert re.fullmatch(r"torchglass_8501=[\w-]{43}; HttpOnly; Max-Age=\d+; Path=/; SameSite=strict", first)
    assert first != second
    behind_a_proxy = post(login, {"x-forwarded-proto": "https"}, name="ada", password=SECRET)
    assert behind_a_proxy.headers["set-cookie"].endswith("; Secure")


def test_logging_in_again_ends_the_session_before(login: PasswordLogin) -> None:
    first = cookie_of(post(login, name="ada", password=SECRET))
    post(login, first, name="ada", password=SECRET)
    assert ask(login, "/", headers=first).status == 401


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong"), ("eve", SECRET), ("", ""), ("ADA", SECRET), ("ada", SECRET + " ")]
)
def test_a_wrong_password_and_an_unknown_name_are_told_alike(login: PasswordLogin, name: str, password: str) -> None:
    answer = post(login, name=name, password=password)
    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert "Name and password do not belong together." in answer.text
    assert password == "" or password not in answer.text


def test_an_unknown_name_costs_as_many_hashes_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    true = Hash.is_of
    monkeypatch.setattr(Hash, "is_of", lambda self, password: computed.append(password) or true(self, password))
    known = hashes()
    assert [known.admit("ada", "wrong"), known.admit("eve", "wrong"), known.admit("eve", SECRET)] == [False] * 3
    assert len(computed) == 3


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1"])
def test_a_form_of_another_site_is_refused(login: PasswordLogin, origin: str) -> None:
    assert post(login, {"origin": origin}, name="ada", password=SECRET).status == 403
    inside = cookie_of(post(login, {"origin": "http://127.0.0.1:8501"}, name="ada", password=SECRET))
    assert ask(login, "/logout", method="POST", headers={**inside, "origin": origin}).status == 403
    assert ask(login, "/", headers=inside).status == 200


@pytest.mark.parametrize("body", [b"x" * (MOST_FORM_BYTES + 1), b"\xff=\xff", b"&".join([b"a=b"] * 100), b""])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "multipart/form-data", ""])
def test_what_is_no_form_of_ours_logs_nobody_in(login: PasswordLogin, body: bytes, kind: str) -> None:
    answer = ask(login, "/login", method="POST", headers={"content-type": kind}, body=body)
    assert answer.status in (400, 401)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "wanted",
    [
        *(
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "\\\\evil.example",
            "",
            "x",
        ),
        *("/ok\r\nset-cookie: a=b", "/\tx", "/é", "/" + "a" * 5000),
    ],
)
def test_the_log_in_leads_to_this_server_alone(login: PasswordLogin, wanted: str) -> None:
    assert safe_next(wanted) == "/"
    assert post(login, name="ada", password=SECRET, next=wanted).headers["location"] == "/"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_nothing_of_an_address_becomes_markup(wanted: str) -> None:
    text = bytes(login_page("en", wanted).body).decode(errors="replace")
    assert text.count("<form") == text.count("</form>") == 1
    assert re.findall(r'<input type="hidden" name="next" value="[^"<>]*">', text)
    assert "<script" not in text.lower()


def test_a_page_that_is_asked_for_goes_to_the_log_in_and_comes_back(login: PasswordLogin) -> None:
    answer = ask(login, "/training?run=a%20b&step=3", headers={"accept": "text/html,*/*"})
    (target,) = re.findall(r'content="0;url=([^"]+)"', answer.text)
    assert target == "/login?next=/training%3Frun%3Da%2520b%26step%3D3"
    assert 'value="/training?run=a%20b&amp;step=3"' in ask(login, target).text
    inside = cookie_of(post(login, name="ada", password=SECRET))
    known = ask(login, target, headers=inside)
    assert (known.status, known.headers["location"]) == (303, "/training?run=a%20b&step=3")


def test_the_page_of_the_log_in_runs_nothing_and_loads_nothing(login: PasswordLogin) -> None:
    answer = ask(login, "/login")
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert re.fullmatch(r"'sha256-[\w+/=]+'", policy["style-src"])
    assert not re.search(r"<script|https?:|\son\w+=|style=", answer.text)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,zh;q=0.9", "en"),
        ("fr,zh;q=0.5,en;q=0.2", "zh"),
        ("de", "en"),
        ("", "en"),
        ("zh;q=0,en", "en"),
        (";;q=x,,;q=1", "en"),
    ],
)
def test_the_log_in_speaks_the_reader_s_language(header: str, language: str) -> None:
    assert preferred(header) == language
    assert f'<html lang="{language}">' in bytes(login_page(header, "/").body).decode()


def test_an_address_waits_ever_longer_after_five_wrong_guesses(clock: Clock) -> None:
    attempts = Attempts(clock)
    assert [attempts.begin("192.0.2.1") for _ in range(FREE_TRIES)] == [0.0] * FREE_TRIES
    waits = []
    for _ in range(11):
        waits.append(attempts.begin("192.0.2.1"))
        assert attempts.begin("192.0.2.1") == waits[-1]  # asking early changes nothing
        clock.now += waits[-1]
        assert attempts.begin("192.0.2.1") == 0.0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_SECONDS, LONGEST_SECONDS]
    assert attempts.begin("192.0.2.2") == 0.0
    clock.now += FORGET_SECONDS + 1
    assert [attempts.begin("192.0.2.1") for _ in range(FREE_TRIES)] == [0.0] * FREE_TRIES


def test_the_right_password_clears_what_its_address_got_wrong(clock: Clock) -> None:
    attempts = Attempts(clock)
    for _ in range(FREE_TRIES):
        attempts.begin("192.0.2.1")
    attempts.succeeded("192.0.2.1")
    assert attempts.begin("192.0.2.1") == 0.0


def test_many_addresses_together_are_slowed_and_the_flood_is_forgotten(clock: Clock) -> None:
    attempts = Attempts(clock)
    for number in range(OVERALL_FREE):
        assert attempts.begin(f"10.0.{number}.1") == 0.0
    assert attempts.begin("10.1.0.1") == 2.0
    clock.now += 2.0
    assert (attempts.begin("10.1.0.1"), attempts.begin("10.1.0.2")) == (0.0, 2.0)
    clock.now += 20.0
    assert [attempts.begin(f"10.2.0.{number}") for number in range(11)] == [0.0] * 10 + [2.0]


def test_a_network_of_version_six_is_one_address(clock: Clock) -> None:
    attempts = Attempts(clock)
    for number in range(FREE_TRIES):
        assert attempts.begin(f"2001:db8:1:2::{number:x}") == 0.0
    assert attempts.begin("2001:db8:1:2:ffff::1") == 1.0
    assert attempts.begin("2001:db8:1:3::1") == 0.0


def test_guesses_that_come_too_fast_are_not_even_looked_at(login: PasswordLogin, clock: Clock) -> None:
    for _ in range(FREE_TRIES):
        assert post(login, name="ada", password="wrong").status == 401
    answer = post(login, name="ada", password=SECRET)
    assert (answer.status, answer.headers["retry-after"]) == (429, "2")
    assert "set-cookie" not in answer.headers
    assert post(login, name="ada", password=SECRET, client="192.0.2.8").status == 303
    clock.now += 1.0
    assert post(login, name="ada", password=SECRET).status == 303


def test_a_session_ends_by_rest_by_age_and_by_being_one_too_many(clock: Clock) -> None:
    sessions = Sessions(clock)
    rested = sessions.begin("ada")
    clock.now += IDLE_SECONDS - 1
    assert sessions.find(rested) is not None
    clock.now += IDLE_SECONDS
    assert sessions.find(rested) is None
    old = sessions.begin("ada")
    for _ in range(int(LONGEST_SESSION // (IDLE_SECONDS / 2)) - 1):
        clock.now += IDLE_SECONDS / 2
        assert sessions.find(old) is not None
    clock.now += IDLE_SECONDS / 2
    assert sessions.find(old) is None
    crowd = [sessions.begin("ada") for _ in range(MOST_SESSIONS + 1)]
    assert [sessions.find(each) is not None for each in (crowd[0], crowd[1], crowd[-1])] == [False, True, True]


@pytest.mark.parametrize("how", ["logged out", "too old"])
def test_an_open_websocket_closes_with_its_session(how: str, clock: Clock) -> None:
    sent: list[Message] = []

    async def live() -> list[Message]:
        sessions = Sessions(clock)
        secret = sessions.begin("ada")
        session = sessions.find(secret)
        assert session is not None
        arriving: asyncio.Queue[Message] = asyncio.Queue()

        async def send(message: Message) -> None:
            sent.append(message)

        receive, say = until_the_end(session, sessions, arriving.get, send)
        arriving.put_nowait({"type": "websocket.receive", "bytes": b"1"})
        heard = [await receive()]
        await say({"type": "websocket.send", "bytes": b"2"})
        if how == "logged out":
            waiting = asyncio.create_task(receive())
            await asyncio.sleep(0)
            sessions.end(secret)
            heard.append(await waiting)
        else:
            clock.now += LONGEST_SESSION
            heard.append(await receive())
        await say({"type": "websocket.send", "bytes": b"too late"})
        heard.append(await receive())
        return heard

    heard = finished(live())
    gone = {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
    assert heard == [{"type": "websocket.receive", "bytes": b"1"}, gone, gone]
    assert [message["type"] for message in sent] == ["websocket.send", "websocket.close"]
