"""The catalogues have a translation for every sentence of the code, and no more than that."""

from __future__ import annotations

import gettext
import importlib.util
import re
import string
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog

from torchglass.dashboard.words import ASSETS, script_sentences
from torchglass.language import LANGUAGES, catalogue, clauses, closest, language, listed, speak, spoken, tr

ROOT = Path(__file__).parents[2]
TRANSLATED = [code for code in LANGUAGES if code != "en"]
# What a translation must keep as it is: markdown, icons, plotly's small HTML, addresses.
MARKUP = re.compile(r"\*\*|`[^`]*`|\$|:material/\w+:|<[^>]*>|https?://\S+")
# Words that Chinese engineers leave as they are, where a whole sentence is made of them.
LEFT_AS_THEY_ARE = {"CPU", "CSV", "Dropout", "EMA", "FLOPs", "GPU", "JPEG", "MFU", "MIG", "UUID", "rank"}


@cache
def script() -> ModuleType:
    """scripts/words.py, which is no package."""
    spec = importlib.util.spec_from_file_location("words_script", ROOT / "scripts" / "words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def said() -> dict[str, list[str]]:
    found: dict[str, list[str]] = script().sentences()
    return found


@cache
def written(code: str) -> Catalog:
    catalog: Catalog = script().read(path_of(code))
    return catalog


def path_of(code: str) -> Path:
    return ROOT / "torchglass" / "locale" / code / "LC_MESSAGES" / "torchglass.po"


def values(sentence: str) -> list[tuple[str, str]]:
    """The placeholders of a sentence with their formats."""
    return sorted((name, form or "") for _, name, form, _ in string.Formatter().parse(sentence) if name is not None)


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_sentence_of_the_code_is_translated_and_no_other(code: str) -> None:
    translated = {message.id: message for message in written(code) if message.id}
    assert sorted(set(said()) - set(translated)) == [], "missing: run `make words` and translate them"
    assert sorted(set(translated) - set(said())) == [], "no longer said: run `make words`"
    assert not written(code).obsolete
    assert [message.id for message in translated.values() if not message.string or message.fuzzy] == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_keep_placeholders_and_markup(code: str) -> None:
    pairs = [(str(message.id), str(message.string)) for message in written(code) if message.id]
    assert [pair for pair in pairs if values(pair[0]) != values(pair[1])] == []
    assert [pair for pair in pairs if sorted(MARKUP.findall(pair[0])) != sorted(MARKUP.findall(pair[1]))] == []


def test_chinese_is_chinese() -> None:
    pairs = [(str(message.id), str(message.string)) for message in written("zh") if message.id]
    foreign = [re.sub(r"\{[^}]*\}", "", told) for _, told in pairs if not re.search(r"[\u4e00-\u9fff]", told)]
    words = {word for told in foreign for word in re.findall(r"[A-Za-z]{2,}", told)}
    assert words - LEFT_AS_THEY_ARE == set()
    assert [pair for pair in pairs if re.search(r"[\u4e00-\u9fff][,;?!]", pair[1])] == [], "full-width after Chinese"


@pytest.mark.parametrize("code", TRANSLATED)
def test_the_compiled_catalogue_is_what_the_written_one_compiles_to(code: str) -> None:
    path = path_of(code)
    assert path.with_suffix(".mo").read_bytes() == script().compiled(script().renewed(written(code), said()))
    with path.with_suffix(".mo").open("rb") as file:
        translations = gettext.GNUTranslations(file)  # what the product reads, without Babel
    assert all(translations.gettext(str(message.id)) == message.string for message in written(code) if message.id)


def test_renewing_keeps_what_is_translated_drops_the_rest_and_leaves_new_ones_empty(tmp_path: Path) -> None:
    path = tmp_path / "torchglass.po"
    path.write_text('msgid ""\nmsgstr "Language: zh\\n"\n\nmsgid "loss"\nmsgstr "损失"\n\nmsgid "gone"\nmsgstr "旧"\n')
    catalog = script().renewed(script().read(path), {"loss": ["charts/a.py"], "new": ["charts/b.py"]})
    assert {message.id: message.string for message in catalog if message.id} == {"loss": "损失", "new": ""}
    text = script().written(catalog)
    assert b'#: charts/a.py\nmsgid "loss"' in text
    path.write_bytes(text)
    assert script().written(script().renewed(script().read(path), {"loss": ["charts/a.py"], "new": ["charts/b.py"]})) \
        == text  # fmt: skip


def test_sentences_are_found_in_f_strings_and_scripts_alike() -> None:
    source = 'title = f"<b>{tr(\'Steps\')}</b>"\nNAME = mark("loss")\nother("not this")\ntr(NAME)\n'
    assert sorted(script().python_sentences(source)) == [(1, "Steps"), (2, "loss")]
    assert list(script_sentences('tr("One {n}", { n })\n tr("two " +\n "parts"); retr("no"); mark("three \\" q")')) == [
        "One {n}", "two parts", 'three " q',
    ]  # fmt: skip


def test_the_scripts_of_the_page_are_collected_as_the_page_reads_them() -> None:
    """Two readers find them: Babel for the catalogue, and ours for the words that a page brings along."""
    ours = {each for path in ASSETS.glob("*.js") for each in script_sentences(path.read_text("utf-8"))}
    theirs = {sentence for sentence, places in said().items() if any(place.endswith(".js") for place in places)}
    in_report = {sentence for sentence, places in said().items() if all("report/" in place for place in places)}
    assert ours == theirs - in_report


def test_a_sentence_is_said_in_the_language_in_use() -> None:
    assert tr("step {step}", step=7) == "step 7"
    with spoken("zh"):
        assert language() == "zh"
        assert tr("step {step}", step=7) == "第 7 步"
        assert tr("what nobody says {here}") == "what nobody says {here}"
        with spoken("en"):
            assert tr("Loss") == "Loss"
        assert tr("") == ""
    assert language() == "en"


def test_lists_have_the_marks_of_the_language_in_use() -> None:
    assert (listed(["a", "b", "c"]), clauses(["a", "b"])) == ("a, b, c", "a; b")
    with spoken("zh"):
        assert (listed(["a", "b", "c"]), clauses(["a", "b"])) == ("a，b，c", "a；b")


def test_a_language_without_a_catalogue_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="no language 'xx': there are en, zh"):
        speak("xx")


@pytest.mark.parametrize(
    ("tag", "code"),
    [("zh-CN", "zh"), ("zh_TW.UTF-8", "zh"), ("ZH", "zh"), ("de-DE", "en"), ("", "en"), (None, "en"), ("C", "en")],
    ids=["browser", "system", "capitals", "other", "empty", "none", "posix"],
)
def test_a_tag_leads_to_the_closest_language(tag: str | None, code: str) -> None:
    assert closest(tag) == code


def test_the_english_catalogue_is_empty_and_others_hold_every_sentence() -> None:
    assert catalogue("en") == {}
    assert set(catalogue("zh")) == set(said())
