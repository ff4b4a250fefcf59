"""Binary tables of the density literature: what is read, and what is refused before any work."""

import re

import pytest
import torch

from pyro_priors.checks import UserError
from pyro_priors.data import binary_tables
from pyro_priors.data.binary_tables import PARTS, names, read_binary_table

ROWS = "0,1,1\n1,0,1\n"


def write(folder, name="coins", **parts):
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        (folder / f"{name}.{part}.data").write_bytes(parts.get(part, ROWS).encode())
    return folder


def refused(folder, said):
    with pytest.raises(UserError, match=re.escape(said)):
        read_binary_table(folder, "coins")


def test_both_layouts_are_read(tmp_path):
    write(tmp_path / "coins", test="1,1,1\n")
    for path in (tmp_path, tmp_path / "coins"):
        table = read_binary_table(path)
        assert table.name == "coins"
        assert table.width == 3
        assert table.train.tolist() == table.valid.tolist() == [[0, 1, 1], [1, 0, 1]]
        assert table.test.tolist() == [[1, 1, 1]]
        assert all(part.dtype is torch.float32 for part in table[1:])


def test_several_tables_are_told_by_name(tmp_path):
    write(tmp_path / "coins")
    write(tmp_path / "dice", "dice", train="1,0\n", valid="0,0\n", test="1,1\n")
    write(tmp_path, "plain")
    write(tmp_path / "other", "another")  # not of the name of its folder
    assert names(tmp_path) == ("coins", "dice", "plain")
    assert read_binary_table(tmp_path, "dice").width == 2
    assert read_binary_table(tmp_path, "plain").width == 3
    with pytest.raises(UserError, match="name: expected one of coins, dice, plain, got none"):
        read_binary_table(tmp_path)


@pytest.mark.parametrize(
    "text", ["0,1,1\n1,0,1", ROWS + "\n\n", "0,1,1\r\n1,0,1\r\n", " 0, 1,1\n1,0 ,1\n", "\ufeff0,1,1\n1,0,1\n"]
)
def test_ends_of_lines_and_blanks_are_none_of_the_data(tmp_path, text):
    assert read_binary_table(write(tmp_path, train=text)).train.tolist() == [[0, 1, 1], [1, 0, 1]]


def test_an_empty_cell_is_missing(tmp_path):
    train = read_binary_table(write(tmp_path, train="0,,1\n,0,\n", test=",,\n")).train
    assert train.isnan().tolist() == [[False, True, False], [True, False, True]]
    assert train.nan_to_num().tolist() == [[0, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"valid": "0,1,1\n0,2,1\n"}, "coins.valid.data: expected 0, 1 or nothing in line 2, column 2, got '2'"),
        ({"train": "0,1,?\n"}, "coins.train.data: expected 0, 1 or nothing in line 1, column 3, got '?'"),
        ({"train": "0 1 1\n"}, "coins.train.data: expected 0, 1 or nothing in line 1, column 1, got '0 1 1'"),
        ({"train": "a,b,c\n0,1,1\n"}, "line 1, column 1, got 'a'"),
        ({"train": "0,1,1\n0,1\n"}, "coins.train.data: expected 3 cells in line 2 as in the first, got 2"),
        ({"train": "0,1,1\n\n1,0,1\n"}, "coins.train.data: expected 3 cells in line 2 as in the first, got 1"),
        ({"test": "0,1\n"}, "coins.test.data: expected 3 columns as in coins.train.data, got 2"),
        ({"test": ""}, "coins.test.data: expected rows of 0 and 1 between commas, got an empty file"),
        ({"valid": "\n \n"}, "coins.valid.data: expected rows of 0 and 1 between commas, got an empty file"),
        ({"train": "0,,1\n1,,1\n"}, "coins.train.data: expected a value in every column, got none in column 2"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, parts, said):
    refused(write(tmp_path, **parts), said)


def test_a_part_that_is_not_there_is_named(tmp_path):
    write(tmp_path / "coins")
    (tmp_path / "coins" / "coins.valid.data").unlink()
    refused(tmp_path, f"got no {tmp_path / 'coins' / 'coins.valid.data'}")
    refused(tmp_path, "path: expected NAME/NAME.{train,valid,test}.data or NAME.{train,valid,test}.data")
    with pytest.raises(UserError, match="with NAME cards"):
        read_binary_table(tmp_path, "cards")


def test_a_folder_without_tables_is_named(tmp_path):
    with pytest.raises(UserError, match=f"in {tmp_path}, got none"):
        names(tmp_path)
    with pytest.raises(UserError, match="which is none"):
        names(tmp_path / "nowhere")


def test_regular_files_are_read_at_once(tmp_path, monkeypatch):
    """As a row at a time reads them."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(2, (500, 40), generator=generator)
    text = "\n".join(",".join(map(str, row)) for row in values.tolist())
    folder = write(tmp_path, train=text, valid=text, test=text)
    slowly = binary_tables._line_by_line
    monkeypatch.setattr(binary_tables, "_line_by_line", pytest.fail)
    assert torch.equal(read_binary_table(folder).train, values.float())
    assert (slowly(folder / "coins.train.data", text.encode()) == values.numpy()).all()
