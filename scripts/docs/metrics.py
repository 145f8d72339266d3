"""Write docs/metrics.md: what every recorded quantity is. Tables that the code has are taken from it, not repeated.

python scripts/docs/metrics.py            write it
python scripts/docs/metrics.py --check    exit with 1 if it is not what the code says
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import definitions_results as results
import definitions_series as series
import definitions_windows as windows
from definition import Definition

from torchglass.charts.devices import PANELS
from torchglass.charts.series_titles import series_title
from torchglass.explainers.probing import figures
from torchglass.instrumentation import phases
from torchglass.instrumentation.devices.quantities import GPU, HOST, Quantity
from torchglass.instrumentation.memory.meanings import MEANINGS, PROCESS_MEANINGS
from torchglass.store.records import SeriesKind
from torchglass.traces import tables

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
METRICS = ROOT / "explainers" / "evaluation" / "metrics"
CHARTS, LISTING = ROOT / "charts", "_listing"
TITLED: Mapping[str, SeriesKind] = {"work": "work", "memory": "memory", "torchglass": "self"}
UNITS = {"text": "", "yes": "", "count": "", "share": "%"}

INTRODUCTION = """\
# What the numbers mean

Every quantity that torchglass records or shows: what it is, its unit, the time that it speaks of, and when there is
none. A missing number is N/A with a reason, never zero. Keys are those of the store, of `torchglass show RUN --json`
and of exports; `*` stands for a name that your model or program gives. This page is made by `make docs` from the tables
in the code.

Seconds are of the host's monotonic clock, or of the GPU's own where the model is on one; 1 kB is 1,000 bytes. A *look*
or *sample* is a moment; a *window* is a stretch of steps under `torch.profiler`.

- [Logged by your program](#logged-by-your-program)
- [Phases of a step](#phases-of-a-step)
- [Work and recorded by itself](#work-and-what-is-recorded-by-itself)
- [Layers](#layers)
- [Memory](#memory)
- [torchglass itself](#torchglass-itself)
- [Probes](#probes)
- [GPUs](#gpus), [the host](#the-host)
- [Profiler windows](#profiler-windows), [their tables on the page](#tables-on-the-page)
- [Explanations: checks](#explanations-checks), [scores](#explanations-scores)
- [Overviews, shortcuts, what-if](#overviews-shortcuts-what-if)
- [Compared runs](#compared-runs), [variants of a model](#variants-of-a-model)
- [What reference models log](#what-reference-models-log)
- [Facts](#facts)
"""

LOGGED = """\
## Logged by your program

Whatever `run.log(name=value)` gets keeps its name and has no unit of ours; a tensor of one number is read without
waiting for the device. NaN and ±Inf are recorded and shown as marks. Least, largest, mean, last and count are of all
recorded points, hidden ones of a resumed run left out; the mean is of the finite ones.
"""

HISTOGRAMS = """\
Histograms `weights/*` and `gradients/*` (every 500 steps) count each tensor's numbers in 2,040 fixed bins, four to the
octave on either side of zero; zeros, NaN, +Inf and −Inf are counted apart. Percentiles on the page are read from those
bins: they are right to a quarter of an octave.
"""


def page() -> str:
    """The whole glossary."""
    return "\n".join([INTRODUCTION, LOGGED, *_series(), *_devices(), *_windows(), *_explanations(), *_results()])


def _series() -> Iterator[str]:
    yield _section(
        "Phases of a step",
        "Kind `phase`, each step, by `instrumentation/phases.py` or, on a GPU, `instrumentation/device_phases.py`. "
        "They "
        "share their boundaries, so they sum to `phase/step`; one that did not occur is 0. There are none where "
        "neither "
        "a training forward nor `run.step()` was seen.",
    )
    yield _table(
        ("key", "what it is", "unit"),
        (
            _row("phase/step", "the whole step, the sum of its phases", "s"),
            *(_row(f"phase/{name}", text, "s") for name, text in _phases().items()),
        ),
    )
    yield _section("Work and what is recorded by itself", "Kinds `work` and `scalar`.")
    yield _definitions(series.OWN)
    yield _section("Layers", "Kind `layer`; `*` is the parameter's name, of what modules return the module's.")
    yield _definitions(series.LAYERS)
    yield HISTOGRAMS
    yield _section("Memory", "Kind `memory`: by torch's allocator on CUDA, of the process elsewhere.")
    told = {f"memory/{name}": text for name, text in (MEANINGS | PROCESS_MEANINGS).items()}
    yield _definitions([each._replace(what=each.what or told[each.key]) for each in series.MEMORY])
    yield _section("torchglass itself", "Kind `self`.")
    yield _definitions(series.OURSELVES)
    yield _section("Probes", "Kind `scalar`; `*` is the method.")
    yield _definitions(
        [
            each._replace(what=_first_sentence(getattr(figures, each.what.partition(".")[2])))
            if each.what.startswith("figures.")
            else each
            for each in series.PROBES
        ]
    )


def _phases() -> dict[str, str]:
    """What each phase is, as `instrumentation/phases.py` begins."""
    text = phases.__doc__ or ""
    found = dict(re.findall(r"^(\w+) {2,}(.+)$", text, flags=re.MULTILINE))
    assert set(found) == set(phases.PHASES), "instrumentation/phases.py begins with a line for each phase"
    return {name: found[name] for name in phases.PHASES}


def _devices() -> Iterator[str]:
    yield _section(
        "GPUs",
        "Kind `device`, once a second, keys `gpu0/...` and, of MIG instances, `gpu0-mig1/...`. What the driver or "
        "board does "
        "not offer is N/A with the driver's words: GPM metrics need Hopper or later. `dmon` is the column of "
        "`nvidia-smi dmon -s pucvmet`.",
    )
    yield _quantities("gpu0", GPU)
    yield _section(
        "The host", "Kind `device`, once a second, keys `host/...`; cores one by one on hosts of 16 or fewer."
    )
    yield _quantities("host", HOST)


def _quantities(device: str, table: Mapping[str, Quantity]) -> str:
    rows = [
        _row(
            name,
            series_title("device", f"{device}/{name}").replace("Core*", "One core"),
            quantity.unit,
            quantity.window,
            quantity.source,
            f"`{quantity.command.partition(', ')[0]}`{_rest(quantity.command)}" if quantity.command else "",
            f"`{quantity.dmon}`" if quantity.dmon else "",
            _panel(name),
        )
        for name, quantity in table.items()
    ]
    return _table(("key", "title", "unit", "window", "source", "printed by", "dmon", "panel"), rows)


def _rest(command: str) -> str:
    return f", {command.partition(', ')[2]}" if ", " in command else ""


def _panel(name: str) -> str:
    name = name.replace("*", "0")
    return next((title for title, keys in PANELS.items() if re.fullmatch(keys, name)), "Other")


def _windows() -> Iterator[str]:
    yield _section(
        "Profiler windows",
        "Tables of a window of steps, of our own or of an imported trace. Times are seconds of the whole window "
        "unless a "
        "column ends with `_ns`; the page divides them by the steps. NaN is what a trace does not tell. Computed in "
        "`traces/`; the columns are those of `traces/tables.py`.",
    )
    for name in tables.COLUMNS:
        yield f"### `{name}`\n\n{windows.ABOUT[name]}.\n"
        yield _table(("column", "what it is"), (_row(*pair) for pair in windows.COLUMNS[name].items()))
    yield _section("Tables on the page", "The columns of the tables that page and report share.")
    for title, text, rows in _listings():
        yield f"### {title}\n\n{textwrap.fill(text, 120)}\n"
        yield _table(("column", "what it is", "unit"), rows)


def _listings() -> Iterator[tuple[str, str, list[tuple[str, ...]]]]:
    """Title, text and columns of each table that charts make for page and report: read, not called."""
    for path in sorted(CHARTS.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.endswith(LISTING) and not node.name.startswith("_"):
                title = node.name.removesuffix(LISTING).replace("_", " ").capitalize()
                fields = [
                    each
                    for each in ast.walk(node)
                    if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "Field"
                ]
                fields.sort(key=lambda each: (each.lineno, each.col_offset))
                yield title, (ast.get_docstring(node) or "").partition("\n")[0], [_field(each) for each in fields]


def _field(call: ast.Call) -> tuple[str, ...]:
    """Title, meaning and unit of a column, as `Field(title, unit, values, meaning)` gives them."""
    title, unit, _, meaning = (*(_sentence(each) for each in call.args), "")[:4]
    return _cell(title), _cell(meaning), UNITS.get(unit, unit)


def _sentence(node: ast.expr) -> str:
    """A text that is written there, through the catalogue or not; what is computed is left out."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tr", "mark") and node.args:
        return _sentence(node.args[0])
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _explanations() -> Iterator[str]:
    yield _section(
        "Explanations: checks",
        "What a method knows of its own truth; `explanation.checks`, and words below each picture (`charts/trust.py`).",
    )
    yield _table(("key", "what it is"), (_row(*pair) for pair in results.CHECKS.items()))
    yield _section(
        "Explanations: scores",
        "What `torchglass.evaluate` measures, for each input, beside the same of a random map and, of pictures, of an "
        "edge "
        "detector. What is undefined has a reason in `scores.missing`. A file each in `explainers/evaluation/metrics`; "
        "`--checks quick` takes those that cost nothing or forward passes.",
    )
    yield _table(("key", "what it is", "better", "costs", "after"), (_metric(path) for path in _metric_files()))


def _metric_files() -> list[Path]:
    return sorted(path for path in METRICS.glob("*.py") if path.stem != "__init__")


def _metric(path: Path) -> tuple[str, ...]:
    """A metric as its file describes it: read, not imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in ("COST", "BETTER")
    }
    measure = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "measure")
    text = inspect.cleandoc(ast.get_docstring(measure) or "")
    what, _, source = text.partition("Source: ")
    what = " ".join(what.partition("\n\n")[0].split()).removeprefix("Measure ").rstrip(".")
    source = " ".join(source.partition("\n\n")[0].split()).rstrip(".")
    return _row(path.stem, what, said["BETTER"] or "neither", said["COST"], source)


def _results() -> Iterator[str]:
    about = (
        (
            "Overviews, shortcuts, what-if",
            "By `torchglass overview`, `shortcuts`, `what-if`, and film strips.",
            "figure",
        ),
        ("Compared runs", "`torchglass compare A B`, page Compare; computed in `analysis/`.", "figure"),
        ("Variants of a model", "`torchglass bench-model`; computed in `reference_models/variants/`.", "key"),
        ("What reference models log", "Kind `scalar`; `*` is train, validation or test.", "key"),
        ("Facts", "Stated once, or again when they change; JSON.", "key"),
    )
    tables_ = (results.OVERVIEWS, results.COMPARED, results.VARIANTS, results.LOGGED, results.FACTS)
    for (title, text, first), table in zip(about, tables_, strict=True):
        yield _section(title, text)
        rows = (_row(*pair) if first == "key" else pair for pair in table.items())
        yield _table((first, "what it is"), rows)


def _definitions(found: Sequence[Definition]) -> str:
    rows = [(f"`{each.key}`", _title(each.key), _cell(each.what), *map(_cell, each[2:])) for each in found]
    return _table(("key", "title", "what it is", "unit", "window", "N/A", "source"), rows)


def _title(key: str) -> str:
    """What a chart calls it; empty where that is the key."""
    kind = TITLED.get(key.partition("/")[0])
    return series_title(kind, key) if kind is not None else ""


def _first_sentence(function: Callable[..., object]) -> str:
    return " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split()).rstrip(".")


def _row(key: str, *cells: str) -> tuple[str, ...]:
    return ", ".join(f"`{each}`" for each in key.split(", ")), *map(_cell, cells)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)}\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table without the columns that no row fills."""
    rows = list(rows)
    kept = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    lines = [[heads[place] for place in kept], ["---"] * len(kept), *([row[place] for place in kept] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    wanted = page()
    if not parser.parse_args().check:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print("docs/metrics.md is not what the code says: run python scripts/docs/metrics.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
