"""Who is answered: this machine's names, names that were given, the address itself; and its own pages alone."""

from __future__ import annotations

import pytest
from asked import ask, behind

from torchglass.dashboard.serving.security import SECURITY_HEADERS, Guard, is_loopback

HERE, ABROAD, ABROAD_SIX = "127.0.0.1", "192.0.2.1", "2001:db8::1"
OPEN = Guard(behind, {"glass.example"}, only_here=False)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("address", [ABROAD, ABROAD_SIX, "169.254.1.1", "10.0.0.1", "::", "", "/run/socket"])
def test_what_comes_in_from_outside_is_refused_where_nobody_logs_in(kind: str, address: str) -> None:
    for host in ("127.0.0.1:8501", "localhost", address):
        answer = ask(Guard(behind), kind=kind, server=address, headers={"host": host})
        assert (answer.status, answer.headers["x-content-type-options"]) == (403, "nosniff")


@pytest.mark.parametrize(
    ("host", "reached", "status"),
    [
        ("glass.example", ABROAD, 200),
        ("GLASS.example:8501", ABROAD, 200),
        (f"{ABROAD}:8501", ABROAD, 200),
        ("192.0.2.2:8501", ABROAD, 400),  # another address of this machine, or of nobody
        (f"[{ABROAD_SIX}]:8501", ABROAD_SIX, 200),
        ("[2001:0db8:0:0::1]", ABROAD_SIX, 200),
        (f"{ABROAD}", f"::ffff:{ABROAD}", 200),
        ("localhost:8501", HERE, 200),
        ("127.0.0.1", HERE, 200),
        ("[::1]:8501", "::1", 200),
        ("127.0.0.2", HERE, 400),
        ("evil.example", ABROAD, 400),
        ("glass.example.evil.example", ABROAD, 400),
        ("evil.example/glass.example", ABROAD, 400),
        ("glass.example@evil.example", ABROAD, 400),
        ("xglass.example", ABROAD, 400),
        ("0.0.0.0:8501", "127.0.0.1", 400),
        ("3221225985", ABROAD, 400),  # 192.0.2.1 as one number
        ("0xC0.0.2.1", ABROAD, 400),
        ("", ABROAD, 400),
        ("[::1", "::1", 400),
    ],
)
def test_a_host_is_taken_by_name_or_as_the_address_that_was_reached(host: str, reached: str, status: int) -> None:
    assert ask(OPEN, server=reached, headers={"host": host}).status == status
    upgrade = ask(OPEN, kind="websocket", server=reached, headers={"host": host, "origin": f"http://{host}"})
    assert upgrade.status == (101 if status == 200 else 400)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8501", 101),
        ("https://glass.example", 403),  # a proxy has to pass the Host on
        ("http://127.0.0.1:9999", 403),
        ("http://localhost:8501", 403),
        ("http://evil.example", 403),
        ("http://0.0.0.0:8501", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
        ("http://[::1", 403),
    ],
)
def test_a_websocket_is_opened_by_our_own_pages_alone(origin: str, status: int) -> None:
    answer = ask(OPEN, kind="websocket", headers={"origin": origin})
    assert answer.status == status


def test_a_program_that_names_no_origin_may_open_a_websocket() -> None:
    assert ask(OPEN, kind="websocket").status == 101


def test_every_answer_carries_the_headers_whether_it_is_one_or_a_refusal() -> None:
    for headers in ({}, {"host": "evil.example"}):
        answer = ask(OPEN, headers=headers)
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_loopback_is_told_from_what_looks_like_it() -> None:
    assert [is_loopback(each) for each in ("127.0.0.1", "::1", "localhost", "::ffff:127.0.0.1", "localhost.evil")] == [
        *([True] * 4),
        False,
    ]
