"""What the source must not say: ways to run, load or show what somebody else wrote. A rule that cannot fail is none."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = (
    *("analysis", "bridges", "charts", "dashboard", "exchange", "explainers", "instrumentation", "reference_models"),
    *("report", "store", "torchglass", "traces"),
)
# Elements of Streamlit whose text is read as markdown, by what is read: the first argument, or one of these names.
MARKDOWN = {
    *("title", "header", "subheader", "caption", "markdown", "write", "info", "success", "warning", "error", "toast"),
    *("badge", "metric", "expander", "popover", "status", "spinner", "tabs", "checkbox", "toggle", "radio", "pills"),
    *("segmented_control", "selectbox", "multiselect", "slider", "select_slider", "number_input", "text_input"),
    *("text_area", "file_uploader", "button", "download_button", "form_submit_button", "link_button", "page_link"),
}
READ = {"label", "body", "help", "caption", "captions"}

FORBIDDEN_CALLS = {
    "st.html": "runs no script, but loads pictures of anywhere",
    "st.iframe": "loads a page",
    "st.components.v1.html": "runs what it is given",
    "st.components.v1.iframe": "loads a page",
    "eval": "runs what it is given",
    "exec": "runs what it is given",
    "compile": "prepares what is given to be run",
    "os.system": "hands a line to a shell",
    "os.popen": "hands a line to a shell",
    "pickle.load": "runs what the file says",
    "pickle.loads": "runs what the file says",
    "yaml.load": "makes any object that the file names",
    "marshal.loads": "is not safe to read from others",
    "shelve.open": "reads pickles",
    "pickle.Unpickler": "runs what the file says",
    "joblib.load": "reads pickles",
    "pd.read_pickle": "reads pickles",
    "torch.hub.load": "runs what it downloads",
}
FORBIDDEN_IMPORTS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "streamlit.components.v1"}
SCRIPT = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write(?:ln)?|createContextualFragment|setHTMLUnsafe|"
    r"eval\s*\(|new\s+Function|Function\s*\(|setTimeout\s*\(\s*[\"'`]|setInterval\s*\(\s*[\"'`]|srcdoc|javascript:)"
)
ELSEWHERE = re.compile(r"""["'`(]\s*(?:https?:)?//(?!www\.w3\.org/)[a-z0-9]""", re.IGNORECASE)


def complaints(source: str, file: str = "x.py") -> Iterator[str]:
    """What a Python source says that it must not."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{where} imports {name}" for name in names if name in FORBIDDEN_IMPORTS)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {each.arg: each.value for each in node.keywords}
        if called in FORBIDDEN_CALLS:
            yield f"{where} {called} {FORBIDDEN_CALLS[called]}"
        if called == "torch.load" and _literal(keywords.get("weights_only")) is not True:
            yield f"{where} torch.load without weights_only=True runs what the file says"
        if called.endswith("np.load") and _literal(keywords.get("allow_pickle", ast.Constant(False))) is not False:
            yield f"{where} np.load with pickles runs what the file says"
        if "shell" in keywords and _literal(keywords["shell"]) is not False:
            yield f"{where} shell= hands a line to a shell"
        if "unsafe_allow_html" in keywords or "unsafe_allow_javascript" in keywords:
            yield f"{where} unsafe_allow_html shows markup as markup"
        if called.endswith((".to_html", ".write_html")) or "include_plotlyjs" in keywords:
            yield f"{where} plotly's own pages load from a foreign host and offer to upload"


def shown(source: str, file: str = "x.py") -> Iterator[str]:
    """Texts of a run that Streamlit would read as markdown, escaped by nobody.

    Followed are f-strings, sums, conditions, what `tr` is given, and variables of the same function; what comes in by a
    parameter or from another function is not. The browser, which meets the corpus on every page, sees those.
    """
    tree = ast.parse(source)
    constants = {target.id: node.value for node in tree.body if isinstance(node, ast.Assign) for target in _names(node)}
    for function in [tree, *(each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))]:
        local: dict[str, list[ast.expr]] = {name: [value] for name, value in constants.items()}
        for node in _own(function):
            if isinstance(node, ast.Assign):
                for target in _names(node):
                    local.setdefault(target.id, []).append(node.value)
        for node in _own(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MARKDOWN:
                texts = [*node.args[:1], *(each.value for each in node.keywords if each.arg in READ)]
                for text in texts:
                    if raw := next(_raw(text, local, 0), None):
                        yield f"{file}:{node.lineno} .{node.func.attr}() shows {ast.unparse(raw)}"


def _raw(text: ast.expr, local: dict[str, list[ast.expr]], depth: int) -> Iterator[ast.expr]:
    """Parts of an expression that bring run's words into an f-string, a sum or a sentence without escaping them."""
    if isinstance(text, ast.JoinedStr):
        for part in text.values:
            if isinstance(part, ast.FormattedValue) and not _is_number_format(part):
                yield from _brought(part.value, local, depth)
    elif isinstance(text, ast.BinOp):
        yield from _raw(text.left, local, depth)
        yield from _raw(text.right, local, depth)
    elif isinstance(text, ast.IfExp):
        yield from _raw(text.body, local, depth)
        yield from _raw(text.orelse, local, depth)
    elif isinstance(text, ast.Call) and isinstance(text.func, ast.Name) and text.func.id == "tr":
        for keyword in text.keywords:
            yield from _brought(keyword.value, local, depth)
    elif isinstance(text, ast.Attribute) and text.attr in RUN_WORDS:
        yield text
    elif isinstance(text, ast.Name) and depth < 4:
        for value in local.get(text.id, []):
            yield from _raw(value, local, depth + 1)


# Attributes that hold what a run said, wherever they stand.
RUN_WORDS = {"name", "error", "note", "host", "key", "unit", "run_name", "tags", "config", "value"}


def _brought(value: ast.expr, local: dict[str, list[ast.expr]], depth: int) -> Iterator[ast.expr]:
    is_run_s = isinstance(value, ast.Attribute) and value.attr in RUN_WORDS
    is_any = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "str"
    is_fact_s = isinstance(value, ast.Subscript) and _literal(value.slice) in RUN_WORDS
    if is_run_s or is_any or is_fact_s:
        yield value
    else:
        yield from _raw(value, local, depth)


def _is_number_format(part: ast.FormattedValue) -> bool:
    """Whether a value is written by a format that takes numbers alone, such as `:,` or `:.3g`."""
    return isinstance(part.format_spec, ast.JoinedStr) and part.conversion == -1 and bool(part.format_spec.values)


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """Everything in a function, what functions within it say included, and of a module what is in none."""
    for child in ast.iter_child_nodes(function):
        if isinstance(function, ast.Module) and isinstance(child, ast.FunctionDef | ast.ClassDef):
            continue
        yield child
        yield from _own(child) if not isinstance(function, ast.Module) else ast.walk(child)


def _names(node: ast.Assign) -> Iterator[ast.Name]:
    return (target for target in node.targets if isinstance(target, ast.Name))


def _literal(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def sources() -> list[Path]:
    return [ROOT / "app.py", *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))]


def scripts() -> list[Path]:
    return sorted(
        [
            *(ROOT / "dashboard" / "assets").glob("*.*s*"),
            *(ROOT / "report").glob("*.js"),
            *(ROOT / "report").glob("*.html"),
        ]
    )


def found(rule: Callable[[str, str], Iterator[str]], files: list[Path]) -> list[str]:
    return [said for path in files for said in rule(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())]


def test_no_source_runs_loads_or_unpickles_what_others_wrote() -> None:
    assert len(sources()) > 300
    assert found(complaints, sources()) == []


def test_no_page_shows_a_run_s_words_as_markdown() -> None:
    assert found(shown, [path for path in sources() if path.is_relative_to(ROOT / "dashboard")]) == []


def test_no_script_makes_markup_or_code_of_text_nor_names_a_foreign_address() -> None:
    assert len(scripts()) > 30
    said = [
        f"{path.name}:{number} {line.strip()[:100]}"
        for path in scripts()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if SCRIPT.search(line) or (ELSEWHERE.search(line) and not line.lstrip().startswith("//"))
    ]
    assert said == []


@pytest.mark.parametrize(
    "bad",
    [
        "st.html(x)",
        "st.markdown(x, unsafe_allow_html=True)",
        "st.components.v1.html(x)",
        "import pickle",
        "from streamlit.components.v1 import html",
        "eval(x)",
        "exec(x)",
        "os.system(x)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(x, shell=True)",
        "subprocess.run(x, shell=flag)",
        "yaml.load(x)",
        "figure.to_html(full_html=False)",
        "figure.write_html(path)",
        "pio.to_json(figure, include_plotlyjs='cdn')",
    ],
)
def test_the_rule_for_sources_sees(bad: str) -> None:
    assert list(complaints(bad))


@pytest.mark.parametrize(
    "bad",
    [
        "st.caption(run.name)",
        "st.caption(f'{run.name}')",
        "left.header('Run ' + run.name)",
        "def f():\n    told = f'on {run.host}'\n    st.caption(told)",
        "st.warning(tr('Of {name}', name=run.name))",
        "st.button(tr('Go'), help=f'see {series.key}')",
        "st.info(f'{str(error)}')",
        "st.metric(series.key, 3)",
        "st.expander(run.name if run.name else 'none')",
        "st.markdown(f\"**{fact['note']}**\")",
    ],
)
def test_the_rule_for_pages_sees(bad: str) -> None:
    assert list(shown(bad))


@pytest.mark.parametrize(
    "good",
    [
        "st.caption(markdown_text(run.name))",
        "st.caption(f'{markdown_text(run.name)} · {count:,} steps')",
        "st.text(run.name)",
        "st.code(run.error)",
        "st.warning(tr('Of {name}', name=markdown_text(run.name)))",
        "torch.load(path, weights_only=True)",
        "subprocess.run([x])",
        "np.load(path, allow_pickle=False)",
    ],
)
def test_what_is_escaped_or_harmless_passes(good: str) -> None:
    assert [*complaints(good), *shown(good)] == []


@pytest.mark.parametrize(
    "bad",
    ["a.innerHTML = x", "document.write(x)", "eval (x)", "new Function(x)", "setTimeout('x', 1)", "a.outerHTML = x"],
)
def test_the_rule_for_scripts_sees(bad: str) -> None:
    assert SCRIPT.search(bad)
    assert ELSEWHERE.search("import x from 'https://cdn.example/x.js'")
