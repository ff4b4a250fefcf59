"""Files that are no tables, and what is said of them before any work."""

import pytest

from pyro_priors.checks import UserError
from pyro_priors.tables.frames import csv_frame
from pyro_priors.tables.frames.frames import Frame


def csv(folder, text, name="table.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: expected a header and rows, got an empty file"),
        ("\n\n", "t.csv: expected a header and rows, got an empty file"),
        ("a,b\n", "t.csv: expected a header and rows, got a header alone"),
        (
            "1,2.5\n3,4\n",
            r"line 1: expected a header, the names of the columns, got numbers \(1, 2.5; write a",
        ),
        (",3,4\n0,1,2\n", r"line 1: expected a header, the names of the columns, got numbers \(, 3, 4; write a"),
        (",0,1\n0.4,1,0\n0.7,0,1\n", r"line 1: expected a header, .*, got numbers \(, 0, 1; write a line of names"),
        (",1,2\nred,3,4\nred,5,6\n", r"line 1: expected a header, .*, got numbers \(, 1, 2; write a line of names"),
        ("a,2020\nb,5\nc,7\n\na,2020\nd,8\n", r"line 1: .*, got a row like .* \(a, 2020, that of line 5: take it away"),
        ("1.5,a,7\n2,b,NA\n,a,3\n", r"line 1: expected a header, .*, got a row like the others \(1.5, a, 7; write a"),
        (
            "# by hand\na,b\n1,2\n3,4\n",
            "line 1: expected a header, .*, got '# by hand' .take away what .* before line 2",
        ),
        ("Report\nof 2020\n\na;b\nx;2\ny;\n", "line 1: expected a header, .*, got 'Report' .* before line 4"),
        ("sep=;\na;b\n1;x\n", "line 1: expected a header, .*, got 'sep=' .* before line 2"),
        ("Report,,\na,b,c\n1,x,2\n", "line 1: expected a header, .*, got 'Report' .* before line 2"),
        (b"\x1f\x8b\x08\x00", "t.csv: expected a CSV file in UTF-8, got a gzip file .unpack it"),
        (b"PK\x03\x04\x14", "t.csv: expected a CSV file in UTF-8, got a ZIP file or an Excel workbook"),
        ("a,b,a\n1,2,3\n", "t.csv line 1: expected each column once, got 'a' twice"),
        ("a,b\n1,2\n1,2\n1,2,3\n", "t.csv line 4: expected 2 cells as in the header, got 3"),
        ("a,b\n1,2\n\n\n1\n1,2\n", "t.csv line 5: expected 2 cells as in the header, got 1"),
        ('a,b\n1,2\n1,"2\n1,2\n', "t.csv line 3: expected a row of a CSV file, got .*is a quote not closed"),
        (b"a,b\n1,2\n1,\xff\n", "t.csv line 3: expected a CSV file in UTF-8, got other bytes"),
        (b"a,b\n1,2\n1,\0\n", "t.csv line 3: expected text, got a zero byte"),
        ("a,b\n1,2\n".encode("utf-16"), "t.csv: expected a CSV file in UTF-8, got UTF-16"),
    ],
)
def test_what_is_no_csv_file_is_refused_at_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        Frame.of(csv(tmp_path, text, "t.csv"))


@pytest.mark.parametrize("names", ["0,1", "1,2", "1990,1991", "1990,1995"])
def test_columns_may_be_counted_after_an_index_without_a_name(tmp_path, names):
    frame = Frame.of(csv(tmp_path, f",{names}\n0,1.5,2.5\n1,2,\n2,4,5\n"))
    assert [column.name for column in frame.columns] == ["column 1", *names.split(",")]


def test_an_index_may_be_of_texts_or_of_rows_that_were_chosen(tmp_path):
    for index in (["a", "b", "c"], ["7", "2", "31"], ["", "b", "b"]):
        names = "1990,1995" if "" in index else "0,1"
        frame = Frame.of(csv(tmp_path, f",{names}\n" + "".join(f"{name},1.5,2\n" for name in index)))
        assert [column.name for column in frame.columns] == ["column 1", *names.split(",")]


@pytest.mark.parametrize("header", ['"","weight"', "name,"])
def test_a_gap_in_the_first_row_makes_it_no_header(tmp_path, header):
    """As R writes a data frame of one column."""
    frame = Frame.of(csv(tmp_path, header + '\n"Anna",NA\n"Bob",71.2\n"Carl",65\n'))
    assert len(frame.columns) == 2
    assert len(frame.columns[0].values) == 3


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"expected a CSV file at .*no.csv, got none"):
        Frame.of(tmp_path / "no.csv")


def test_a_file_that_outgrows_memory_is_refused_before_work(tmp_path, monkeypatch):
    path = csv(tmp_path, "a,b\n1,2\n")
    monkeypatch.setattr(csv_frame, "_free_bytes", lambda: 16 * path.stat().st_size - 1)
    monkeypatch.setattr(csv_frame, "read_bytes", lambda path: pytest.fail("was read"))
    with pytest.raises(
        UserError, match=r"table.csv: expected a file of at most .* of memory that are free, got 0.00 GB"
    ):
        Frame.of(path)


def test_columns_without_a_name_are_named_by_their_place(tmp_path):
    assert Frame.of(csv(tmp_path, ",a,\n1,2,3\n")).names == ("column 1", "a", "column 3")


@pytest.mark.parametrize(
    "text",
    [
        "land,1990,1991\nPeru,1.5,2\nChile,3,4\n",  # years
        "a,7\na,b\nb,c\n",  # a text above texts, a number above none
        'city\nRome\n"Bern, Basel"\nOslo\n',
        "words\none\ntwo, three\nfour, five, six\n",
        "PAR1,PAR2\n1,2\n3,4.5\n",
        "id,tags\nx,a;b\ny,c;3\nz,d;4\n",
    ],
)
def test_a_header_that_is_one(tmp_path, text):
    assert len(Frame.of(csv(tmp_path, text)).names) == text.split("\n")[0].count(",") + 1


@pytest.mark.parametrize(
    "text",
    [
        "amount\n1,5\n2,7\n3,25\n",
        "name\nDoe, John\nRoe, Jane\n",
        "tags\na;b\nc;d\n",
        "note\nhello, world\n",
        "a\n1\n\n2\n",
    ],
)
def test_one_column_without_quotes(tmp_path, text):
    assert Frame.of(csv(tmp_path, text)).names == (text.split("\n")[0],)
