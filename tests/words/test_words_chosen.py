"""A visitor reads the language that the address names, else the browser's, and a switch changes it."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from streamlit.testing.v1 import AppTest

from torchglass.dashboard.words import words_of_scripts
from torchglass.language import spoken


def page() -> None:
    import streamlit as st

    from torchglass.dashboard.fragments import fragment
    from torchglass.dashboard.words import choose_language, offer_languages
    from torchglass.language import language

    def part() -> None:
        st.button("again")
        st.text(f"part {language()}")

    choose_language()
    st.text(language())
    fragment(part)()
    offer_languages()


@pytest.fixture
def browser_tag() -> Iterator[list[str | None]]:
    """What the browser says it reads; a test puts another one in."""
    tag: list[str | None] = [None]
    with patch("streamlit.runtime.context.ContextProxy.locale", property(lambda _: tag[0])):
        yield tag


def visit(**query: str) -> AppTest:
    app = AppTest.from_function(page)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    return app


def told(app: AppTest) -> list[str]:
    assert not app.exception
    return [text.value for text in app.text]


@pytest.mark.parametrize(
    ("tag", "asked", "spoken_there", "left_in_address"),
    [
        ("zh-CN", None, "zh", {}),
        ("en-US", "zh", "zh", {"lang": "zh"}),
        ("zh-CN", "en", "en", {"lang": "en"}),
        ("zh-CN", "zh", "zh", {}),
        ("de-DE", None, "en", {}),
        ("en-US", "klingon", "en", {}),
        (None, None, "en", {}),
    ],
    ids=["browser", "asked", "asked-back", "asked-for-its-own", "no-catalogue", "unknown", "silent"],
)
def test_the_address_wins_over_the_browser_and_names_a_language_only_where_it_differs(
    browser_tag: list[str | None],
    tag: str | None,
    asked: str | None,
    spoken_there: str,
    left_in_address: dict[str, str],
) -> None:
    browser_tag[0] = tag
    app = visit(**({"lang": asked} if asked else {}))
    assert told(app) == [spoken_there, f"part {spoken_there}"]
    assert dict(app.query_params) == left_in_address


def test_the_switch_changes_the_language_and_fragments_go_on_in_it(browser_tag: list[str | None]) -> None:
    browser_tag[0] = "en-US"
    app = visit()
    app.button_group[0].set_value("zh").run()
    assert told(app) == ["zh", "part zh"]
    assert dict(app.query_params) == {"lang": "zh"}
    app.button[0].click().run()
    assert told(app) == ["zh", "part zh"]
    app.button_group[0].set_value("en").run()
    assert told(app) == ["en", "part en"]
    assert dict(app.query_params) == {}


def test_a_language_that_was_picked_outlives_an_address_without_it(browser_tag: list[str | None]) -> None:
    browser_tag[0] = "en-US"
    app = visit(lang="zh")
    del app.query_params["lang"]  # as when another page is opened
    app.run()
    assert told(app)[0] == "zh"
    assert dict(app.query_params) == {"lang": "zh"}


def test_scripts_get_their_words_in_the_language_in_use() -> None:
    assert words_of_scripts() == {}
    with spoken("zh"):
        words = words_of_scripts()
    assert words["Copied"] == "已复制"
    assert "{seconds}" in words["{what}: trying again every {seconds} s"]
