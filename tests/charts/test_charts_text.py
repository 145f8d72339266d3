"""The escaping helpers and the numbers with units."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from torchglass.charts.records import packed, packed_steps
from torchglass.charts.text import (
    file_name,
    kernel_name,
    markdown_text,
    plain_text,
    plot_text,
    sentence,
    short_label,
    wrapped,
)
from torchglass.charts.units import duration, number, quantity, scale_of


def test_plot_text_escapes_markup_and_leaves_quotes() -> None:
    assert plot_text("<a href='x'>&\"") == "&lt;a href='x'&gt;&amp;\""


def test_a_reason_begins_with_a_capital_unless_it_begins_with_code() -> None:
    assert sentence("no step was timed in A") == "No step was timed in A"
    assert sentence("torch.fx saw \u202eit") == "torch.fx saw it"
    assert sentence("") == ""


def test_plot_text_is_cut_before_it_is_escaped() -> None:
    text = plot_text("<" * 500)
    assert text == "&lt;" * 119 + "…"


def test_control_bidi_and_surrogate_characters_are_stripped() -> None:
    assert plain_text("a\u202eb\u2066c\x00d\x1be\u200bf\ud800g\nh\ti") == "abcdefg h i"


def test_markdown_text_leaves_no_punctuation_unescaped() -> None:
    text = markdown_text("![x](y) **b** $a$ :smile: <i> `c` #h 1. ~s~ | \\")
    plain = text
    for index, char in enumerate(plain):
        if char in "!()*$:<>`#.~|[]_":
            assert plain[index - 1] == "\\"


@pytest.mark.parametrize(
    "address", ["http://evil.example", "HTTPS://evil.example", "www.evil.example", "a@evil.example"]
)
def test_markdown_text_breaks_bare_addresses_with_a_joiner(address: str) -> None:
    text = markdown_text(address)
    assert "\u200d" in text
    unescaped = text.replace("\\", "")
    assert not any(start in unescaped.lower() for start in ("http:", "https:", "www.", "@e"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18-cifar10", "resnet18-cifar10"),
        ("../../etc/passwd", "etc-passwd"),
        ("a b/c\\d:e", "a-b-c-d-e"),
        ("..", "run"),
        ("", "run"),
        ("CON", "_CON"),
        ("nul.html", "_nul.html"),
        ("<script>", "script"),
    ],
)
def test_file_names_lead_nowhere_else(name: str, expected: str) -> None:
    assert file_name(name) == expected


def test_short_labels_keep_both_ends() -> None:
    assert short_label("features.0.conv.block.very.deep.inside.weight", 20) == "feature…nside.weight"
    assert short_label("conv1.weight") == "conv1.weight"


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0125, "s", "12.5 ms"),
        (0.0000042, "s", "4.2 µs"),
        (9.5e9, "B", "9.5 GB"),
        (812, "B", "812 B"),
        (71.0, "%", "71 %"),
        (0.98765432, "", "0.9877"),
        (61706, "", "61,706"),
        (1.23456e-8, "", "1.235e-8"),
        (0.0, "s", "0 s"),
        (None, "s", "–"),
        (float("nan"), "", "NaN"),
        (float("-inf"), "", "-∞"),
        (-0.0005, "s", "-500 µs"),
        (123456.7, "", "123,457"),
    ],
)
def test_quantities_read_as_a_person_writes_them(value: float | None, unit: str, expected: str) -> None:
    assert quantity(value, unit) == expected


def test_durations_pick_their_units() -> None:
    assert [duration(seconds) for seconds in (0.85, 42.1, 185.0, 7620.0, None)] == [
        "850 ms",
        "42.1 s",
        "3 min 05 s",
        "2 h 07 min",
        "–",
    ]


def test_a_scale_gives_one_to_three_digits_before_the_point() -> None:
    for largest in (2e-7, 3e-5, 0.04, 7.0):
        scale = scale_of("s", largest)
        assert 0.1 <= largest * scale.factor < 1000


def test_numbers_keep_four_significant_digits() -> None:
    assert [number(value) for value in (0.12345, 12.345, 1234.5, 0.1, -3.0)] == [
        "0.1235",
        "12.35",
        "1,234",
        "0.1",
        "-3",
    ]


def test_packing_keeps_what_a_reader_could_see() -> None:
    assert packed(np.array([0.1, 0.2])).dtype == np.float32
    close = np.array([1e9, 1e9 + 1.0])
    assert packed(close).tolist() == close.tolist()
    assert packed(np.array([1e300, 0.0])).dtype == np.float64
    assert packed(np.array([np.nan, np.inf])).dtype == np.float32
    assert packed_steps(np.array([1, 2**31 - 1])).dtype == np.int32
    assert packed_steps(np.array([1, 2**31])).tolist() == [1.0, 2.0**31]


def test_charts_import_neither_torch_nor_streamlit() -> None:
    code = "import sys, torchglass.charts; print([m for m in ('torch', 'streamlit', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("void cudnn::dgrad_engine<float, 512, false>(int, float const*)", "cudnn::dgrad_engine<float, 512, false>"),
        ("void f<k(int)::{lambda(float)#1}, A<2> >(int, g(float", "f<k(int)::{lambda(float)#1}, A<2> >"),
        ("at::(anonymous namespace)::cat<float>(float*)", "at::(anonymous namespace)::cat<float>"),
        ("volta_sgemm_64x64_nt", "volta_sgemm_64x64_nt"),
        ("Memcpy HtoD (Pageable -> Device)", "Memcpy HtoD"),
        ("(unlinked)", "(unlinked)"),
    ],
)
def test_a_kernel_is_told_by_its_name_and_not_by_its_arguments(name: str, short: str) -> None:
    assert kernel_name(name) == short


def test_lines_end_at_blanks_and_in_chinese_behind_any_character_but_never_before_a_mark() -> None:
    assert wrapped("log one with run.log(loss=loss) here", 14) == "log one with<br>run.log(loss=loss)<br>here"
    assert wrapped("aa bb cc", 5) == "aa bb<br>cc"
    assert wrapped("没有记录任何值，请用 run.log 记录。", 10) == "没有记录任<br>何值，请用<br>run.log 记<br>录。"
    assert wrapped("一二三四，五", 9) == "一二三<br>四，五"
