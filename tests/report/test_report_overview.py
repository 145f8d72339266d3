"""A report tells of a model of rows as a whole and of an agent's episode, and says how to get them."""

from __future__ import annotations

from pathlib import Path

from overviewed import record_overviews

from torchglass.report import export_report
from torchglass.store import Store


def test_an_overview_and_an_episode_are_in_the_report(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        record_overviews(store)
        html = export_report(store, "overviewed", tmp_path / "a.html").read_text(encoding="utf-8")
    section = html.split('<section id="overview">')[1].split("</section>")[0]
    for title in ("An episode of the agent", "Effect of age", "If age were different", "Which columns speak together"):
        assert f"<h4>{title}</h4>" in section
    assert section.count('class="figure"') == 9
    assert "velocity made up 100 % of what spoke for or against the actions" in section
    assert "age and blood pressure interact most" in section


def test_names_from_outside_are_escaped_and_a_run_without_either_says_what_to_do(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db") as store:
        record_overviews(store, feature_names=["<script>", "b", "c"], class_names=["<img src=x>", "<i>"])
        hostile = export_report(store, "overviewed", tmp_path / "a.html").read_text(encoding="utf-8")
        store.start_run("bare", {}, host="here", pid=1)
        bare = export_report(store, "bare", tmp_path / "b.html").read_text(encoding="utf-8")
    section = hostile.split('<section id="overview">')[1].split("</section>")[0]
    assert "<script>" not in section
    assert "<img" not in section
    assert "Effect of &lt;script&gt;" in section
    assert "look at a model of rows with torchglass overview" in bare
