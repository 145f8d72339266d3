"""Nothing that a reader sees stays English by oversight: what is shown goes through `tr`, and `tr` gets literals."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN_BY = ("charts", "dashboard", "report", "analysis")  # rooms whose words meet a reader
# Methods of Streamlit, and our own functions, whose first argument is read.
SAYING = {
    *("title", "header", "subheader", "caption", "markdown", "write", "text", "info", "warning", "error", "success"),
    *("toast", "badge", "button", "download_button", "link_button", "page_link", "form_submit_button", "toggle"),
    *("checkbox", "radio", "selectbox", "multiselect", "slider", "select_slider", "number_input", "text_input"),
    *("text_area", "date_input", "file_uploader", "segmented_control", "pills", "metric", "expander", "popover"),
    *("status", "spinner", "progress", "dialog", "Page", "TextColumn", "NumberColumn", "ProgressColumn", "Field"),
    *("LineChartColumn", "CheckboxColumn", "LinkColumn", "DatetimeColumn", "ListColumn", "SelectboxColumn", "Column"),
    *("nothing_recorded", "run_heading", "empty_figure", "Remark"),
}
# Arguments that are read, of whatever is called.
READ = {
    *("help", "placeholder", "label", "title", "title_text", "alt", "name", "text", "hovertext", "hovertemplate"),
    *("ticktext", "caption", "annotation_text", "subplot_titles", "texttemplate", "row_titles", "delta_description"),
}
# Not of a language: names of things, units, and what plotly and pandas call their own.
OF_NO_LANGUAGE = re.compile(
    r"\b(?:torchglass|PyTorch|Python|CSV|Parquet|SVG|PNG|HTML|JSON|URL|GPU|CPU|CUDA|NaN|Inf|F1|IoU|MFU|FLOPs?|GFLOP"
    r"|ms|kB|MB|GB|min|Optuna|SHAP|LIME|Grad-CAM|extra|br|sub|nbsp)\b"
)
MARKUP = re.compile(r"%\{[^}]*\}|<[^>]*>|:material/\w+:|:\w+\[|`[^`]*`|\{[^}]*\}|&\w+;")
# What has methods of such names too, and shows nothing: a question of the API, a log for who runs the server.
NO_PAGES = {"query", "_log"}
# (file, what it says): names that no reader sees, and what is typed as it stands here.
UNSEEN = {
    ("charts/autograd_graph.py", "edges"),
    ("charts/autograd_graph.py", "nodes"),
    ("dashboard/explaining/own_input.py", "own-input"),
    ("dashboard/choosing/run_question.py", "-test/accuracy.max"),
    ("dashboard/ordering/training_order.py", "auto, cpu, cuda, cuda:1, mps"),
    ("dashboard/ordering/training_order.py", "torch.compile"),
}
# (file, argument of `tr`): sentences that are marked elsewhere and arrive in a variable.
MARKED_ELSEWHERE: set[tuple[str, str]] = {
    ("analysis/wording.py", "words[difference.verdict == 'lower']"),
    ("charts/autograd_graph.py", "path"),
    ("charts/breakdown.py", "name"),
    ("charts/comparison.py", "reason"),
    ("charts/devices.py", "panel.title"),
    ("charts/histogram_bars.py", "name"),
    ("charts/honesty.py", "what"),
    ("charts/icicle.py", "data.levels[node.level - 1]"),
    ("charts/memory_peak.py", "part"),
    ("charts/throttling.py", "reason"),
    ("charts/trust.py", "said"),
    ("charts/trust_table.py", "measure.for_it if sign * value >= sign * measure.limit else measure.against"),
    ("charts/trust_table.py", "measure.meaning"),
    ("charts/trust_table.py", "measure.title"),
    ("dashboard/stepping/at_step.py", "sentence"),
    ("dashboard/drawing/live.py", "ended"),
    ("dashboard/drawing/live.py", "name"),
    ("dashboard/drawing/live.py", "waiting"),
    ("dashboard/navigation.py", "entry.section"),
    ("dashboard/navigation.py", "entry.title"),
    ("dashboard/explaining/own_input.py", "note.sentence"),
    ("dashboard/pages/kernels.py", "title"),
    ("dashboard/pages/memory.py", "meaning"),
    ("dashboard/pages/memory.py", "title"),
    ("dashboard/pages/quality.py", "label"),
    ("dashboard/pages/step_time.py", "meaning"),
    ("dashboard/pages/step_time.py", "title"),
    ("dashboard/explaining/side_by_side.py", "sentence"),
    ("dashboard/ordering/switch_words.py", "words.help"),
    ("dashboard/ordering/switch_words.py", "words.label"),
    ("dashboard/ordering/training_order.py", "exhibit.summary"),
    ("dashboard/words.py", "sentence"),
    ("report/comparison_page.py", "called"),
    ("report/comparison_page.py", "column"),
    ("report/comparison_page.py", "title"),
    ("report/figures.py", "panel.title"),
    ("report/notes.py", "known"),
    ("report/page.py", "column"),
    ("report/resources.py", "title"),
    ("report/tables.py", "field.title"),
    ("report/tables.py", "name_of(name)"),
    ("report/tables.py", "title"),
}


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    """Name and tree of every file of the rooms."""
    paths = (path for room in SHOWN_BY for path in sorted((ROOT / room).rglob("*.py")))
    return tuple((path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))) for path in paths)


def is_call(node: ast.AST, *names: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def literals(node: ast.AST) -> Iterator[str]:
    """The texts in an expression that no `tr` and no `mark` encloses, but for keys, formats and comparisons."""
    if is_call(node, "tr", "mark"):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr | ast.BinOp | ast.IfExp | ast.List | ast.Tuple | ast.BoolOp):
        parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else list(ast.iter_child_nodes(node))
        for part in parts:
            yield from literals(part)
    elif isinstance(node, ast.FormattedValue):
        yield from literals(node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        for part in node.args[:1]:
            yield from literals(part)
    elif isinstance(node, ast.ListComp | ast.GeneratorExp):
        yield from literals(node.elt)


def has_words(text: str) -> bool:
    """Whether a text says something in English: a word that is neither a name, a unit nor markup."""
    return bool(re.search(r"[A-Za-z]{2,}", OF_NO_LANGUAGE.sub("", MARKUP.sub("", text))))


def unwrapped(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of what is shown without `tr`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in NO_PAGES:
            continue
        shown = [node.args[0]] if called in SAYING and node.args else []
        shown += [each.value for each in node.keywords if each.arg in READ]
        for each in shown:
            for text in literals(each):
                if has_words(text):
                    yield node.lineno, text


def test_what_is_shown_is_translated() -> None:
    found = [f"{name}:{line}: {text!r}" for name, tree in sources() for line, text in unwrapped(tree)
             if (name, text) not in UNSEEN]  # fmt: skip
    assert found == []


def asked(tree: ast.Module) -> Iterator[tuple[int, ast.expr]]:
    """Line and first argument of every `tr` and `mark`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and is_call(node, "tr", "mark"):
            yield node.lineno, node.args[0]


def is_constant(node: ast.expr) -> bool:
    """Whether an expression reads a constant of a module: its name is in capitals, whatever is taken out of it."""
    if isinstance(node, ast.Subscript):
        return is_constant(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        return is_constant(node.func.value) and all(map(is_constant, node.args[1:]))
    if isinstance(node, ast.Attribute):
        return node.attr.isupper()
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.IfExp):
        return is_constant(node.body) and is_constant(node.orelse)
    return isinstance(node, ast.Name) and node.id.strip("_").isupper()


def test_sentences_are_literals_or_marked_constants() -> None:
    found = [
        (name, ast.unparse(argument))
        for name, tree in sources()
        for _, argument in asked(tree)
        if not is_constant(argument)
    ]
    assert [each for each in found if each not in MARKED_ELSEWHERE] == []
    assert {each for each in MARKED_ELSEWHERE if each not in found} == set(), "no longer there"


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ('st.header("Kernels")', ["Kernels"]),
        ('st.header(tr("Kernels"))', []),
        ('left.metric(tr("Steps"), value, help="of the run")', ["of the run"]),
        ('st.caption(f"{count} of {whole} steps")', [" of ", " steps"]),
        ('figure.add_bar(hovertemplate="%{x:.3g} ms<extra></extra>")', []),
        ('figure.add_bar(name="loss" if one else tr("other"))', ["loss"]),
        ('figure.update_xaxes(title_text=plot_text("step"))', ["step"]),
        ('st.button(":material/refresh:")', []),
    ],
    ids=["bare", "wrapped", "help", "f-string", "unit", "choice", "escaped", "icon"],
)
def test_the_search_finds_what_is_not_wrapped(code: str, seen: list[str]) -> None:
    assert [text for _, text in unwrapped(ast.parse(code))] == seen
