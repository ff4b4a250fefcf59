"""Files that are no table, or not all of one: the file and the line are named, and nothing is written."""

import re

import numpy as np
import pytest
from big_tables import in_files, patients

from pyro_priors.checks import UserError
from pyro_priors.tables import TableImputer
from pyro_priors.tables.command import main
from pyro_priors.tables.pieces import columns, pieces, reading, survey
from pyro_priors.tables.pieces.filling import targets
from pyro_priors.tables.pieces.pieces import Pieces

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """Columns with more than 50 different cells are known by 60 drawn rows alone."""
    monkeypatch.setattr(pieces, "ROWS", 100)
    monkeypatch.setattr(columns, "MOST", 50)


@pytest.fixture(scope="module")
def fitted():
    """On the same patients."""
    return TableImputer(max_steps=4, random_state=0).fit(patients(600))


@pytest.fixture
def folder(tmp_path):
    return in_files(tmp_path / "t", patients(600))


def last_lines(path, *lines):
    with path.open("ab") as file:
        for line in lines:
            file.write(line if isinstance(line, bytes) else line.encode())
    return path.read_bytes().count(b"\n")


def both_passes(folder):
    table = Pieces.of(folder)
    looked = survey.survey(table, {}, (), 0, 60)
    reading.read(table, looked.schema, 0, looked)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("601,N,180.0,80.0\n", "expected 7 cells as in the header, got 4"),
        ('601,N,180.0,80.0,"chess,40,1990-01-01\n', "is a quote not closed"),
        (b"601,N,180.0,80.0,\xff,40,1990-01-01\n", "expected a CSV file in UTF-8"),
        (b"601,N,180.0,80.0,\0,40,1990-01-01\n", "expected text, got a zero byte"),
        ("601,N,tall,80.0,chess,40,1990-01-01\n", r"column height: expected a.*number.*, got 'tall'"),
        ("601,N,inf,80.0,chess,40,1990-01-01\n", "column height: expected a finite number.*, got 'inf'"),
        ('601,N,"1.800,5",80.0,chess,40,1990-01-01\n', "column height: expected cells that are all written as"),
        ("601,N,180.0,80.0,chess,40,01/02/1990\n", "column born: expected"),
    ],
)
def test_a_broken_line_is_named_before_anything_is_fitted(folder, tmp_path, line, said):
    last = last_lines(folder / "part-1.csv", line)
    with pytest.raises(UserError, match=said) as error:
        both_passes(folder)
    assert f"line {last}" in str(error.value)
    assert "part-1.csv" in str(error.value)


def test_nothing_is_written_where_the_last_file_is_broken(folder, tmp_path, fitted):
    last = last_lines(folder / "part-2.csv", "601,N,180.0,80.0,golf,40.0,1990-01-01\n")
    with pytest.raises(UserError, match=rf"part-2.csv line {last}, column sport: expected one of .*, got 'golf'"):
        fitted.fill_files(folder, tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "part-0.csv").write_text("mine")
    with pytest.raises(UserError, match="golf"):
        fitted.fill_files(folder, tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["part-0.csv"]
    assert (tmp_path / "old" / "part-0.csv").read_text() == "mine"


def test_files_that_are_not_of_one_table(folder, tmp_path):
    patients(50).drop(columns="sport").to_csv(folder / "part-3.csv", index=False)
    with pytest.raises(
        UserError, match=r"part-3.csv: expected the columns of part-0.csv, got others: sport is missing"
    ):
        Pieces.of(folder)
    patients(50).rename(columns={"sport": "game"}).to_csv(folder / "part-3.csv", index=False)
    with pytest.raises(
        UserError, match=r"part-3.csv: expected the columns of part-0.csv, got others: sport is missing"
    ):
        Pieces.of(folder)
    patients(50)[["name", "row", "height", "weight", "sport", "visits", "born"]].to_csv(
        folder / "part-3.csv", index=False
    )
    with pytest.raises(UserError, match=r"part-3.csv, column name: expected the order of part-0.csv, row there"):
        Pieces.of(folder)
    (folder / "part-3.csv").unlink()
    patients(50).to_parquet(folder / "part-3.parquet")
    with pytest.raises(UserError, match=r"files of one kind, .csv or .parquet, got part-3.parquet and part-0.csv|got"):
        Pieces.of(folder)
    other = in_files(tmp_path / "p", patients(60), "parquet")
    patients(60).astype({"row": float}).to_parquet(other / "part-3.parquet", index=False)
    with pytest.raises(UserError, match=r"part-3.parquet, column row: expected int64 as in part-0.parquet, got double"):
        Pieces.of(other)
    (other / "part-3.parquet").write_bytes(b"no Parquet")
    with pytest.raises(UserError, match=r"part-3.parquet: expected a Parquet file at"):
        Pieces.of(other)


def test_what_is_no_data_is_passed_over(folder):
    for name in ("_SUCCESS.csv", ".part-0.csv", "notes.txt", "__MACOSX/part-0.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("nothing")
    (folder / "b").mkdir()
    patients(20).to_csv(folder / "b" / "more.csv", index=False)
    assert [source.name for source in Pieces.of(folder).sources] == [
        "b/more.csv",
        "part-0.csv",
        "part-1.csv",
        "part-2.csv",
    ]
    (folder / "year=2020").mkdir()
    patients(20).to_csv(folder / "year=2020" / "more.csv", index=False)
    with pytest.raises(UserError, match=r"got a folder year=2020 \(in Python: pyarrow.dataset"):
        Pieces.of(folder)


def test_outputs_that_cannot_be(folder, tmp_path, fitted):
    for out, said in [
        (folder, "out: expected a folder outside of the one that is read"),
        (folder / "filled", "out: expected a folder outside of the one that is read"),
        (folder / "part-0.csv", "out: expected a folder to write to"),
    ]:
        with pytest.raises(UserError, match=said):
            fitted.fill_files(folder, out)
    with pytest.raises(UserError, match=r"out: expected a file of the kind of part-0.csv"):
        fitted.fill_files(folder / "part-0.csv", tmp_path / "x.parquet")
    with pytest.raises(UserError, match="out: expected another file than those that are read"):
        fitted.fill_files(folder / "part-0.csv", folder / "part-0.csv")
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"none: expected .csv or .parquet files in .*, got none"):
        TableImputer().fit(tmp_path / "none")


def test_an_infinite_number_of_a_later_piece(tmp_path):
    table = patients(300)[["height", "sport"]]
    table.loc[250, "height"] = float("inf")
    (tmp_path / "t").mkdir()
    table.to_parquet(tmp_path / "t" / "a.parquet", index=False)
    with pytest.raises(UserError, match=r"a.parquet row 250, column height: expected a finite number, got inf"):
        survey.survey(Pieces.of(tmp_path / "t"), {}, (), 0)


@pytest.mark.parametrize("flags", [["--draws", "2"], ["--intervals", "0.9"], ["--probabilities"], ["--report", "r"]])
def test_flags_that_want_all_rows_are_refused_before_any_work(folder, tmp_path, capsys, flags):
    assert main(["impute", str(folder), "--out", str(tmp_path / "out"), *flags]) == 2
    assert f"{flags[0][2:]}: expected nothing beside" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_commands_take_a_folder(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(columns, "MOST", 50_000)
    assert main(["describe", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "600 rows, of which 600 were drawn to learn from" in said
    assert "height: continuous" in said
    gaps = int(patients(600).isna().sum().sum())
    assert f"fill {gaps} cells, piece by piece" in said
    words = ["impute", str(folder), "--out", str(tmp_path / "out"), "--max-steps", "4"]
    assert main([*words, "--model", str(tmp_path / "law")]) == 0
    assert "filled, 3 files" in capsys.readouterr().out
    filled = pd.concat(pd.read_csv(path) for path in sorted((tmp_path / "out").iterdir()))
    assert not filled.isna().any(axis=None)
    part = ["impute", str(folder / "part-1.csv"), "--out", str(tmp_path / "one.csv"), "--model", str(tmp_path / "law")]
    assert main(part) == 0  # in memory
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "out" / "part-1.csv").read_bytes()


def test_a_csv_file_that_outgrows_memory_is_read_in_pieces(folder, tmp_path, fitted, monkeypatch):
    file = folder / "part-2.csv"
    text = fitted.transform(file)
    monkeypatch.setattr("pyro_priors.tables.frames.csv_frame._free_bytes", lambda: 1000)
    assert fitted.fill_files(file, tmp_path / "filled.csv") == [tmp_path / "filled.csv"]
    assert (tmp_path / "filled.csv").read_bytes() == text.encode()
    with pytest.raises(UserError, match="X: expected a table in memory, got one that is read in pieces"):
        fitted.transform(file)


def test_bytes_that_are_no_cells_stay(tmp_path, fitted):
    """A mark of the order of bytes, blank lines, line ends, quotes and blanks, in every piece."""
    header = '\ufeff\r\n"row","name",height, weight ,sport,visits,born\r\n'
    rows = [
        f'{k},"N ""{k}""\n",{170 + k % 9}.5, ,"chess",{40 + k % 7},1990-01-0{1 + k % 9}\r\n\r\n' for k in range(250)
    ]
    (tmp_path / "odd.csv").write_bytes("".join([header, *rows]).encode())
    text = fitted.transform(tmp_path / "odd.csv")
    fitted.fill_files(Pieces.of(tmp_path / "odd.csv"), tmp_path / "filled.csv")
    cells, filled = re.compile(rb"(?<=5,)[\d.]+(?=,)"), (tmp_path / "filled.csv").read_bytes()
    assert cells.sub(b"", filled) == cells.sub(b"", text.encode())
    ours, theirs = (np.array(cells.findall(each), float) for each in (filled, text.encode()))
    assert np.allclose(ours, theirs, rtol=0, atol=0.11)  # a last digit that is rounded may differ among other rows


def test_a_count_that_is_said_and_is_none(folder, monkeypatch):
    monkeypatch.setattr(columns, "MOST", 20)
    table = Pieces.of(folder)
    last = last_lines(folder / "part-2.csv", "601,N,180.0,80.0,chess,40.5,1990-01-01\n")
    looked = survey.survey(table, {"VISITS": "count"}, (), 0, 200)
    assert looked.said == {"visits"}
    with pytest.raises(UserError, match=rf"part-2.csv line {last}, column visits: expected a whole number, 0 or more"):
        reading.read(table, looked.schema, 0, looked)
    looked = survey.survey(table, {}, (), 0, 200)
    fields = reading.read(table, looked.schema, 0, looked).schema.fields
    assert (looked.schema.fields[5].kind, fields[5].kind) == ("count", "continuous")


def test_files_without_rows(tmp_path):
    folder = in_files(tmp_path / "t", patients(60), "parquet", 1)
    patients(60).iloc[:0].astype(pd.read_parquet(folder).dtypes).to_parquet(folder / "none.parquet", index=False)
    table = Pieces.of(folder)
    assert survey.survey(table, {}, (), 0).rows == 60
    (folder / "part-0.parquet").unlink()
    with pytest.raises(UserError, match="t: expected rows, got none"):
        survey.survey(Pieces.of(folder), {}, (), 0)
    (folder / "a.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"a.csv: expected a header and rows, got a header alone"):
        survey.survey(Pieces.of(folder / "a.csv"), {}, (), 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1.5,a,7\n2,b,8\n3,a,3\n", "a.csv line 1: expected a header, .*, got a row like the others"),
        (b"Report\na,b\n1,2\n3,4\n", "a.csv line 1: expected a header, .*, got 'Report' .* before line 2"),
        (b"\x1f\x8b\x08\x00", "a.csv: expected a CSV file in UTF-8, got a gzip file"),
    ],
)
def test_files_without_a_header(tmp_path, text, message):
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(UserError, match=message):
        survey.survey(Pieces.of(tmp_path / "a.csv"), {}, (), 0)


def test_files_of_other_columns_than_those_of_the_first_fit(folder, fitted):
    """Before any of their cells is read."""
    patients(50).drop(columns=["sport", "born"]).to_csv(folder / "part-1.csv", index=False)
    with pytest.raises(UserError, match=r"part-1.csv: expected the columns of .*: sport, born are missing"):
        fitted.partial_fit(folder)
    for path in folder.iterdir():
        path.write_text("row,name,height,weight,game,visits,born\n")
    with pytest.raises(ValueError, match=r"(?s)unseen at fit time:\n- game\n.*now missing:\n- sport"):
        fitted.partial_fit(folder)
    for path in folder.iterdir():
        path.write_text("name,row,height,weight,sport,visits,born\n")
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        fitted.partial_fit(folder)


def test_arguments_that_are_no_files(folder, tmp_path, fitted):
    for X, got in ((patients(20), "DataFrame"), (None, "NoneType")):
        with pytest.raises(UserError, match=f"X: expected a folder, a file or a data set of pyarrow, got {got}"):
            fitted.fill_files(X, tmp_path / "out")
    with pytest.raises(UserError, match="out: expected a folder or a file to write to, got NoneType"):
        fitted.fill_files(folder, None)
    none = in_files(tmp_path / "none", patients(60).iloc[:0], "parquet", 1)
    with pytest.raises(UserError, match="none: expected rows, got none"):
        fitted.score_samples(none)


def test_types_that_are_not_written_are_refused_before_any_work(tmp_path, fitted, monkeypatch):
    folder = in_files(tmp_path / "t", patients(60), "parquet", 1)
    monkeypatch.setattr(pa.parquet, "ParquetWriter", _refusing)
    with pytest.raises(UserError, match=r"part-0.parquet: expected a file that pyarrow can write again, got no such"):
        targets(Pieces.of(folder), tmp_path / "new" / "out")
    assert not (tmp_path / "new").exists()


def _refusing(*_, **__):
    raise pa.ArrowNotImplementedError("no such type")
