"""A page about a run without a browser: Streamlit's own test double runs its script and keeps what it drew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

SECONDS = 60  # a busy machine may need many


def _page(path: str, address: str, name: str) -> None:
    from importlib import import_module

    from torchglass.store import open_store

    with open_store(path, read_only=True) as store:
        import_module(f"torchglass.dashboard.pages.{address}").show(store, store.run(name))


def show(path: Path, address: str, name: str, step: int | None = None) -> AppTest:
    """Run a page for a run, with the cursor at a step."""
    app = AppTest.from_function(_page, kwargs={"path": str(path), "address": address, "name": name})
    app.default_timeout = SECONDS
    app.session_state["cursor_step"] = step
    return settled(app.run())


def settled(app: AppTest) -> AppTest:
    """The page, which did not fail."""
    assert not app.exception, app.exception
    return app


def cursor(app: AppTest) -> int | None:
    """Where the page left the cursor."""
    step: int | None = app.session_state["cursor_step"]
    return step


def texts(app: AppTest) -> str:
    """Every sentence of the page that is no table, no tile and no chart, in one text."""
    kinds = (app.header, app.subheader, app.text, app.caption, app.markdown, app.info, app.warning, app.error)
    return "\n".join(str(each.value) for kind in kinds for each in kind)


def tiles(app: AppTest) -> dict[str, str]:
    """Values of the tiles by their titles."""
    return {each.label: each.value for each in app.metric}


def figures(app: AppTest) -> dict[str, Any]:
    """What the page gave its components, by the name of the chart (`name` of figures, else the component's own)."""
    found: dict[str, Any] = {}
    for each in app.get("bidi_component"):
        data = json.loads(each.proto.json)
        found[data.get("name") or each.proto.component_name] = data
    return found


def drawn(app: AppTest, chart: str) -> dict[str, Any]:
    """A chart's figure, as plotly takes it."""
    figure: dict[str, Any] = json.loads(figures(app)[chart]["figure"])
    return figure


def names(app: AppTest, chart: str) -> list[str]:
    """Names of a chart's traces."""
    return [str(trace.get("name")) for trace in drawn(app, chart)["data"]]
