"""Any CSV table: what is read, and one sentence that names line and column for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from torchglass.errors import DataError
from torchglass.reference_models.data import csv_table
from torchglass.reference_models.data.csv_table import load_csv_table
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Split

HEADER = "age,height,label"


def rows(count: int = 12, label: str = "yes") -> list[str]:
    return [f"{20 + row},{1.5 + row / 100},{label if row % 2 else 'no'}" for row in range(count)]


def load(folder: Path, *lines: str, encoding: str = "utf-8", seed: int = 0) -> Split:
    path = folder / "table.csv"
    path.write_bytes("\n".join(lines).encode(encoding))
    return load_csv_table(DataRequest(seed=seed, path=path))


def refusal(folder: Path, *lines: str, encoding: str = "utf-8") -> str:
    with pytest.raises(DataError) as caught:
        load(folder, *lines, encoding=encoding)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_text_labels_are_classes_in_order_of_the_alphabet(tmp_path: Path) -> None:
    split = load(tmp_path, HEADER, *rows())
    assert split.form.task == "classification"
    assert split.form.class_names == ("no", "yes")
    assert split.form.feature_names == ("age", "height")
    assert len(split.train) + len(split.test) == 12
    assert split.scale is not None
    ages = torch.cat([split.train.inputs, split.test.inputs])[:, 0] * split.scale.deviations[0] + split.scale.means[0]
    assert sorted(ages.round().int().tolist()) == list(range(20, 32))
    odd = (ages.round().int() % 2).tolist()
    assert odd == torch.cat([split.train.targets, split.test.targets]).tolist()


@pytest.mark.parametrize(
    ("header", "target", "features"),
    [
        ("target,label,c", "target", ("label", "c")),
        ("a,label,c", "label", ("a", "c")),
        ("a,Target,c", "Target", ("a", "c")),
        ("a,b,c", "c", ("a", "b")),
        ("2019,2020,target", "target", ("2019", "2020")),
    ],
)
def test_the_target_is_named_so_or_stands_last(
    tmp_path: Path, header: str, target: str, features: tuple[str, ...]
) -> None:
    body = [f"{row % 2},{row % 2},{row % 2}" for row in range(12)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([header, *body]))
    assert csv_table.read_table(path).target_name == target
    assert load_csv_table(DataRequest(path=path)).form.feature_names == features


def test_a_few_whole_numbers_are_classes_in_order_of_size(tmp_path: Path) -> None:
    split = load(tmp_path, "a,grade", *[f"{row},{(2, 10, '2.0', '+10')[row % 4]}" for row in range(12)])
    assert split.form.class_names == ("2", "10")


def test_numbers_too_long_for_a_float_are_labels_of_their_own(tmp_path: Path) -> None:
    names = ("12345678901234567891", "12345678901234567892")
    split = load(tmp_path, "a,account", *[f"{row},{names[row % 2]}" for row in range(12)])
    assert split.form.class_names == names


@pytest.mark.parametrize("values", [[str(row) for row in range(24)], [f"{row % 3}.5" for row in range(24)]])
def test_many_numbers_or_fractions_are_a_number_to_predict(tmp_path: Path, values: list[str]) -> None:
    split = load(tmp_path, "a,price", *[f"{row},{value}" for row, value in enumerate(values)])
    assert split.form.task == "regression"
    assert split.form.class_names == ()
    assert sorted(torch.cat([split.train.targets, split.test.targets]).tolist()) == sorted(map(float, values))


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_a_spreadsheet_s_separators_marks_and_empty_lines_are_read(tmp_path: Path, separator: str) -> None:
    lines = [line.replace(",", separator) for line in ['"age","height","label"', *rows(), "", ""]]
    split = load(tmp_path, "\r\n".join(lines), encoding="utf-8-sig")
    assert split.form.feature_names == ("age", "height")
    assert len(split.train) + len(split.test) == 12


def test_the_seed_alone_splits(tmp_path: Path) -> None:
    first, again, other = (load(tmp_path, HEADER, *rows(), seed=seed).test.inputs for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("40,,yes", "line 14: column 'height' is empty"),
        ("40,NA,yes", "line 14: column 'height' holds 'NA', a missing value"),
        ("40,1.7,?", "line 14: column 'label' holds '?', a missing value"),
        ("40,1.7, ", "line 14: column 'label' is empty"),
        ("old,1.7,yes", "line 14: column 'age' holds 'old', which is not a number"),
        ("inf,1.7,yes", "line 14: column 'age' holds 'inf', which is not a number"),
        ("1e39,1.7,yes", "line 14: column 'age' holds '1e39', which is not a number that float32 holds"),
        ("40,1.7,maybe", "line 14: column 'label' holds 'maybe', a label of this row alone"),
        ("40,1.7", "line 14 has 2 columns and the header 3"),
        ('40,"1.7,yes', "is not a CSV table: line 14, unexpected end of data"),
        ("40," + "1" * 200_000 + ",yes", "is not a CSV table: line 14, field larger than"),
    ],
)
def test_a_bad_row_is_named_by_line_and_column(tmp_path: Path, broken: str, said: str) -> None:
    assert said in refusal(tmp_path, HEADER, *rows(), broken)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "begins with an empty line"),
        (["1,2,3", *rows()], "line 1 holds numbers: its first line must name the columns"),
        (["20,1.5,no", *rows()], "line 1 holds numbers: its first line must name the columns"),
        (["label", *["yes"] * 12], "one column, 'label'"),
        (["a,a,label", *rows()], "names a column 'a', twice or blank"),
        (["a,,label", *rows()], "names a column '', twice or blank"),
        ([HEADER, *rows(9)], "has 9 rows: 10 are the fewest"),
        ([HEADER, *rows(label="no")], "column 'label' is 'no' in every row"),
        (["a,b", *[f"{row},0.5" for row in range(12)]], "column 'b' is 0.5 in every row"),
        (["a,b", *[f"{row},{row}.5" for row in range(12)], "7,-4e38"], "line 14: column 'b' holds '-4e38', which"),
    ],
)
def test_a_table_that_teaches_nothing_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    assert said in refusal(tmp_path, *lines)


def test_a_file_that_is_missing_a_folder_or_no_text_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="cannot read"):
            load_csv_table(DataRequest(path=path))
    late = [HEADER, *rows(3000), "20,1.5,schön"]  # beyond what is decoded at once
    assert "line 3002 is not text in UTF-8" in refusal(tmp_path, *late, encoding="latin-1")
    with pytest.raises(DataError, match="--data FILE"):
        load_csv_table(DataRequest())


def test_a_table_larger_than_memory_bears_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_NUMBERS", 20)
    assert "more than 20 numbers (line 12)" in refusal(tmp_path, HEADER, *rows(40))


@pytest.mark.parametrize("header", ["{0}", "{0},label", "{0},{0},label"])
def test_a_name_without_end_does_not_make_a_message_without_end(tmp_path: Path, header: str) -> None:
    assert len(refusal(tmp_path, header.format("x" * 50_000), *["?,a"] * 12)) < 400
