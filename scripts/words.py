"""Collect the sentences of the code into the catalogues below torchglass/locale, and compile them: `make words`.

What is translated stays so, a sentence that the code no longer says goes, and a new one comes without a translation:
write it into the .po file and run this again. Both files are committed, so neither a clone nor a package builds any.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).parents[1]
ROOMS: Final = ("torchglass", "analysis", "charts", "report", "dashboard")  # whose sentences reach a reader
EXHIBITS: Final = "reference_models/exhibits"
WAYS: Final = [("**.js", "javascript"), ("**.html", "jinja2")]
KEYWORDS: Final = {"tr": None, "mark": None}
LOCALE: Final = ROOT / "torchglass" / "locale"
DOMAIN: Final = "torchglass"
WIDTH: Final = 120
# Neither a date nor a name: the files change when a sentence does.
HEADER: Final = """# Sentences of torchglass; `make words` collects them.
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Language: {language}\\n"

"""
UNDATED: Final = datetime(2026, 1, 1, tzinfo=UTC)


def sentences() -> dict[str, list[str]]:
    """Each sentence of the code with the files that say it, in the order of the files."""
    found: dict[str, list[str]] = {}
    for room in ROOMS:
        others = extract_from_dir(str(ROOT / room), WAYS, keywords=KEYWORDS)
        said = [(each[0], each[1], str(each[2])) for each in others]
        for path in (ROOT / room).rglob("*.py"):
            name = path.relative_to(ROOT / room).as_posix()
            said += [(name, line, sentence) for line, sentence in python_sentences(path.read_text("utf-8"))]
        for name, _, sentence in sorted(said):
            places = found.setdefault(sentence, [])
            if (place := f"{room}/{name}") not in places:
                places.append(place)
    for path in sorted((ROOT / EXHIBITS).glob("*.py")):
        for sentence in summaries(path.read_text("utf-8")):
            found.setdefault(sentence, []).append(f"{EXHIBITS}/{path.name}")
    return found


def summaries(source: str) -> Iterator[str]:
    """What a reference model's file says of it: `summary="…"`, which needs no mark."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "summary" and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def python_sentences(source: str) -> Iterator[tuple[int, str]]:
    """Line and literal of each `tr("…")` and `mark("…")`; Babel's own reader sees none inside of an f-string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def paths() -> Iterator[Path]:
    """The .po file of each language."""
    return iter(sorted(LOCALE.glob(f"*/LC_MESSAGES/{DOMAIN}.po")))


def read(path: Path) -> Catalog:
    """The catalogue in a .po file."""
    with path.open("rb") as file:
        return read_po(file, domain=DOMAIN)


def renewed(known: Catalog, said: dict[str, list[str]]) -> Catalog:
    """A catalogue of exactly these sentences, translated as far as they are known."""
    fresh = Catalog(known.locale, DOMAIN, creation_date=UNDATED, revision_date=UNDATED, fuzzy=False)
    for sentence, places in said.items():
        message = known.get(sentence)
        fresh.add(sentence, message.string if message else "", locations=[(place, 0) for place in places])
    return fresh


def written(catalog: Catalog) -> bytes:
    """A catalogue as the text of a .po file; file names without lines, which would change with every commit."""
    buffer = BytesIO()
    write_po(buffer, catalog, width=WIDTH, include_lineno=False, omit_header=True)
    return HEADER.format(language=catalog.locale).encode() + buffer.getvalue().lstrip()


def compiled(catalog: Catalog) -> bytes:
    """A catalogue as the bytes of a .mo file."""
    buffer = BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def main() -> int:
    """Renew every catalogue; 1 if one of them lacks a translation."""
    said = sentences()
    missing = 0
    for path in paths():
        catalog = renewed(read(path), said)
        path.write_bytes(written(catalog))
        path.with_suffix(".mo").write_bytes(compiled(catalog))
        lacking = [message for message in catalog if message.id and not message.string]
        missing += len(lacking)
        print(f"{path.relative_to(ROOT)}: {len(catalog)} sentences, {len(lacking)} without a translation")
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
