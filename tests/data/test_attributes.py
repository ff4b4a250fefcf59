"""Attributes: what a column means, how cells are read and written, and every mistake in a CSV file."""

import json
import math

import pytest
import torch

import pyro_priors as pp
from pyro_priors.checks import UserError
from pyro_priors.data import attributes
from pyro_priors.data.attribute_table import Table, read_csv, select
from pyro_priors.data.attributes import Attribute, parse_given

NAN = math.nan
HAIR = Attribute("hair", ("black", "blond", "red"))
MALE = Attribute("male", ("0", "1"))
AGE = Attribute("age", None, loc=40.0, scale=12.0)
ZIP = Attribute("zip", ("007", "07", "7"))
BIG = Attribute("id", ("9007199254740992", "9007199254740993"))


def write(folder, content):
    path = folder / "faces.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def same(values, expected):
    torch.testing.assert_close(values, torch.tensor(expected), equal_nan=True, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("attribute", [HAIR, MALE, Attribute("year", ("-1", "3", "20")), Attribute("one", ("x",))])
def test_states_survive_a_round_trip(attribute):
    for state, text in enumerate(attribute.categories):
        assert attribute.parse(text) == attribute.parse(f"  {text}\t") == state
        assert attribute.format(float(state)) == attribute.format(torch.tensor(float(state))) == text
    assert math.isnan(attribute.parse(" "))
    assert attribute.format(NAN) == ""
    assert attribute.kind(7) == pp.Discrete(len(attribute.categories))


@pytest.mark.parametrize(("loc", "scale"), [(40.0, 12.0), (0.0, 1.0), (1.6e9, 1e4), (-3e-7, 2e-8), (0.0, 3e250)])
def test_numbers_survive_a_round_trip_to_a_millionth_of_the_scale(loc, scale):
    attribute = Attribute("size", None, loc, scale)
    for value in torch.linspace(-3, 3, 13).tolist():
        text = attribute.format(value)
        assert attribute.parse(text) == pytest.approx(value, abs=2e-6)
        assert float(text) == pytest.approx(loc + scale * value, rel=1e-12, abs=scale * 1e-6)
    assert attribute.kind(7) == pp.Continuous(7)
    assert math.isnan(attribute.parse(""))
    assert attribute.format(NAN) == ""


def test_numbers_are_written_as_a_person_would():
    assert [AGE.format(AGE.parse(text)) for text in ("40", "39.5", "0", "100", "-7.25")] == [
        "40", "39.5", "0", "100", "-7.25",
    ]  # fmt: skip
    assert Attribute("size", None).format(-1e-9) == "0"


@pytest.mark.parametrize("text", ["1", "1.0", "01", "1e0", " 1 "])
def test_a_number_matches_the_category_of_its_value(text):
    assert MALE.parse(text) == 1.0
    assert Attribute("male", ("0.0", "1.0")).parse(text) == 1.0


def test_a_text_is_its_own_category_before_it_is_a_number():
    zips = Attribute("zip", ("01", "1", "x"))
    assert [zips.parse(text) for text in ("01", "1", "x")] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("attribute", "text", "message"),
    [
        (HAIR, "green", "expected one of black, blond, red, got 'green'"),
        (HAIR, "Blond", "expected one of black, blond, red, got 'Blond'"),
        (HAIR, "1", "expected one of black, blond, red, got '1'"),
        (MALE, "2", "expected one of 0, 1, got '2'"),
        (MALE, "0.5", "expected one of 0, 1, got '0.5'"),
        (MALE, "unknown", "expected one of 0, 1, got 'unknown'"),
        (HAIR, "?", "expected one of black, blond, red, got '?'"),
        (ZIP, "7.0", "expected one of 007, 07, 7 as it is written, got '7.0'"),
        (ZIP, "0007", "expected one of 007, 07, 7 as it is written, got '0007'"),
        (BIG, "9007199254740994", "expected one of 9007199254740992, 9007199254740993, got '9007199254740994'"),
        (Attribute("n", tuple(map(str, range(99)))), "x", r"49, \.\.\. \(99 in all\), got 'x'"),
        (AGE, "old", "expected a finite number, got 'old'"),
        (AGE, "１", "expected a finite number, got '１'"),
        (AGE, "3,14", "expected a finite number, got '3,14'"),
        (AGE, "-inf", "expected a finite number, got '-inf'"),
        (AGE, "1e999", "expected a finite number, got '1e999'"),
        (AGE, "1_000", "expected a finite number, got '1_000'"),
        (AGE, "1e30", r"at most 1e\+15 standard deviations \(12\) from the mean .* \(40\), got '1e30'"),
        (AGE, "-1.3e16", r"at most 1e\+15 standard deviations .*, got '-1.3e16'"),
        (Attribute("size", None, 0.0, 1e-300), "1e300", r"at most 1e\+15 standard deviations .*, got '1e300'"),
    ],
)
def test_bad_cells(attribute, text, message):
    with pytest.raises(ValueError, match=message):
        attribute.parse(text)


def test_json_round_trip_is_exact():
    both = (HAIR, MALE, AGE._replace(loc=0.1 + 0.2, scale=1 / 3))
    assert attributes.from_json(json.loads(json.dumps(attributes.to_json(both)))) == both
    assert attributes.kinds(both, 5) == {"hair": pp.Discrete(3), "male": pp.Discrete(2), "age": pp.Continuous(5)}
    assert attributes.from_json([]) == ()


@pytest.mark.parametrize("values", [3, [{"name": "male"}], [{"name": "a", "categories": None, "colour": 1}], [7]])
def test_json_of_something_else(values):
    with pytest.raises(UserError, match="attributes: expected name, categories, loc and scale of each, got"):
        attributes.from_json(values)


def test_given():
    known = (HAIR, MALE, AGE, Attribute("Male", ("no", "yes")), Attribute("Wearing_Hat", ("0", "1")))
    assert parse_given(known, "male=1, Male=yes ,hair= red,age=52,wearing_hat=0.0") == {
        "male": 1.0, "Male": 1.0, "hair": 2.0, "age": 1.0, "Wearing_Hat": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("beard=1", "given: expected one of hair, male, Age, got 'beard'"),
        ("hair=green", "given: hair: expected one of black, blond, red, got 'green'"),
        ("age=inf", "given: Age: expected a finite number, got 'inf'"),
        ("age=1e30", r"given: Age: expected a number at most 1e\+15 standard deviations .*, got '1e30'"),
        ("hair=red,hair=black", "given: expected each attribute once, got hair twice"),
        ("male=1,MALE=1", "given: expected each attribute once, got male twice"),
        ("male", "given: expected name=value,name=value, a value with .*, got 'male'"),
        ("male=", "given: expected name=value,name=value, a value with .*, got 'male='"),
        ("male=1,", "given: expected name=value,name=value, a value with .*, got ''"),
        ("hair=?", "given: hair: expected one of black, blond, red, got '\\?'"),
        ("hair=NA", "given: hair: expected a value, got 'NA', which is a missing one"),
        ("age=", "given: expected name=value,.* got 'age='"),
        ('hair="red', "given: hair: expected one of black, blond, red, got '\"red'"),
        ("hair=red, black", "given: expected name=value,.* a value with a comma in quotes .* got ' black'"),
        ("", "given: expected name=value,name=value, a value with .*, got ''"),
    ],
)
def test_bad_given(text, message):
    with pytest.raises(UserError, match=message):
        parse_given((HAIR, MALE, AGE._replace(name="Age")), text)


def test_columns_mean_what_their_cells_say(tmp_path):
    path = write(
        tmp_path, "\ufeffimage,Male, hair ,age,size,rank\r\n\r\nb.png,1.0,red,20,0.5,3\na.png,, blond ,,1.5,-1\n"
    )
    table = read_csv(path)
    assert isinstance(table, Table)
    assert table.images == ["b.png", "a.png"]
    assert table.attributes == (
        Attribute("Male", ("1.0",)),  # as it is written first
        Attribute("hair", ("blond", "red")),
        Attribute("age", ("20",)),
        Attribute("size", None, loc=1.0, scale=0.5),
        Attribute("rank", ("-1", "3")),
    )
    assert table.values.dtype == torch.float32
    same(table.values, [[0.0, 1.0, 0.0, -1.0, 1.0], [NAN, 0.0, NAN, 1.0, 0.0]])


def test_more_than_twenty_whole_numbers_are_continuous(tmp_path):
    for count in (20, 21):
        path = write(tmp_path, "image,n\n" + "".join(f"{i}.png,{i * 10}\n" for i in range(count)))
        (attribute,) = read_csv(path).attributes
        assert (attribute.categories is None) == (count == 21)
        if count == 20:
            assert attribute.categories[:3] == ("0", "10", "20")  # by number: "100" comes later


def test_numbers_far_from_zero_keep_their_digits(tmp_path):
    seconds = [1_700_000_000 + 0.25 * i for i in range(40)]  # float32 would see two different numbers
    table = read_csv(write(tmp_path, "image,t\n" + "".join(f"{i},{s}\n" for i, s in enumerate(seconds))))
    (attribute,) = table.attributes
    assert [float(attribute.format(v)) for v in table.values[:, 0]] == pytest.approx(seconds, rel=0, abs=1e-4)
    large = read_csv(write(tmp_path, "image,t\n1,1e38\n2,-1e38\n3,0.5\n"))
    same(large.values, [[1.5**0.5], [-(1.5**0.5)], [0.0]])
    assert read_csv(write(tmp_path, "image,t\n1,0.1\n2,0.1\n")).attributes == (Attribute("t", None, 0.1, 1.0),)


def test_chosen_columns_are_named_as_the_user_wrote_them(tmp_path):
    path = write(tmp_path, 'image,Male,Bad,male hair\nx,1,"1e999",red\ny,0,,\n')
    table = read_csv(path, columns=("male hair", "MALE"))
    assert table.attributes == (Attribute("male hair", ("red",)), Attribute("MALE", ("0", "1")))
    same(table.values, [[0.0, 1.0], [NAN, 0.0]])


THREE_VALUED = [  # A, B, A|B, A|!B, !A
    ("1", "1", 1, 1, 0), ("1", "0", 1, 1, 0), ("1", "", 1, 1, 0),
    ("0", "1", 1, 0, 1), ("0", "0", 0, 1, 1), ("0", "", NAN, NAN, 1),
    ("", "1", 1, NAN, NAN), ("", "0", NAN, 1, NAN), ("", "", NAN, NAN, NAN),
]  # fmt: skip


def test_combined_columns_follow_three_valued_logic(tmp_path):
    path = write(tmp_path, "image,A,B\n" + "".join(f"{i},{row[0]},{row[1]}\n" for i, row in enumerate(THREE_VALUED)))
    wanted = ("either=A|B", "mixed=a | !b", "not_a=!A")
    table = read_csv(path, wanted)
    assert table.attributes == tuple(Attribute(name, ("0", "1")) for name in ("either", "mixed", "not_a"))
    same(table.values, [[float(value) for value in row[2:]] for row in THREE_VALUED])
    # The same of a table in memory, and of a trained run that has them.
    plain = read_csv(path)
    names, values = select("faces", plain.attributes, plain.values, wanted)
    assert names == table.attributes
    same(values, table.values.tolist())
    same(read_csv(path, wanted[:1], table.attributes).values[:, 0], table.values[:, 0].tolist())


def test_columns_of_a_trained_run(tmp_path):
    path = write(tmp_path, "AGE,image,male\n52,x.png,\n,y.png,1\n")
    table = read_csv(path, attributes=(HAIR, MALE, AGE))
    assert table.attributes == (HAIR, MALE, AGE)  # standardised as in training, not anew
    same(table.values, [[NAN, NAN, 1.0], [NAN, 1.0, NAN]])
    nothing = read_csv(write(tmp_path, "image\nx.png\n"), attributes=(HAIR, MALE))
    assert nothing.values.shape == (1, 2)
    assert nothing.values.isnan().all()
    assert read_csv(write(tmp_path, "image,male\nx,\n"), attributes=(MALE,)).values.isnan().all()
    unread = read_csv(write(tmp_path, "image,male,z\nx,1,1\n\ny,1,1\n"), columns=None, attributes=(MALE,))
    assert unread.values.isnan().all()
    assert (unread.images, unread.lines) == (["x", "y"], (2, 4))


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("", {}, "faces.csv: expected a column 'image', got nothing"),
        ("picture,male\nx,1\n", {}, "faces.csv: expected a column 'image', got picture, male"),
        ("image,male\n", {}, "faces.csv: expected a row for every image, got none"),
        ("image\nx\n", {}, "faces.csv: expected a column for every attribute, got image alone"),
        ("image,male\nx,1\n\ny,1\nx,0\n", {}, "faces.csv line 5, column image: expected every image once, got 'x'"),
        ("image,male\n ,1\n", {}, "faces.csv line 2, column image: expected every image once, got an empty cell"),
        ("image,male, male\nx,1,1\n", {}, "faces.csv line 1: expected each column once, got 'male' twice"),
        ("image,male\nx,1\ny\n", {}, "faces.csv line 3: expected 2 cells as in the header, got 1"),
        ("image,male\nx,1,2\n", {}, "faces.csv line 2: expected 2 cells as in the header, got 3"),
        ("image,male\nx,\ny, \n", {}, "faces.csv: column male: expected a cell that says something, got empty ones"),
        ("image,a,b\nx,,\n", {"columns": ["c=a|!b"]}, "faces.csv: column c: expected a cell that says something"),
        ("image,t\nx,0.5\ny,1e39\n", {}, "faces.csv line 3, column t: expected a finite number of 32 bits, got '1e39'"),
        ("image,age\nx,1\ny,inf\n", {}, "faces.csv line 3, column age: expected a finite number of 32 bits, got 'inf'"),
        ("image,age\nx,NaN\ny,?\n", {"kinds": {"age": "count"}}, "faces.csv line 3, column age: .*got '?'"),
        ("image,,male\nx,1,1\n", {}, "column: expected a name without , and =, other than image, z, y, self, got ''"),
        ("image,z\nx,1\n", {}, "expected a name without .* got 'z'"),
        ('image,"a=b"\nx,1\n', {}, "expected a name without .* got 'a=b'"),
        ('image,"a,b"\nx,1\n', {}, "expected a name without .* got 'a,b'"),
        (b"image,male\nx,\xff\n", {}, "faces.csv line 2: expected a CSV file in UTF-8, got other bytes"),
        ("image,male\nx,1\n".encode("utf-16"), {}, "faces.csv: expected a CSV file in UTF-8, got UTF-16"),
        ("image,male\nx,1\n".encode("utf-16-le"), {}, "faces.csv line 1: expected text, got a zero byte"),
        ("image,male\nx,1\ny,\0\n", {}, "faces.csv line 3: expected text, got a zero byte"),
        (f"image,male\nx,1\ny,{'a' * 200_000}\n", {}, "line 3: expected a row of a CSV file, got field larger than"),
        ("image;male\nx;1;2\n", {}, "faces.csv line 2: expected 2 cells as in the header, got 3"),
        ("image,t\nx,3,14\n", {}, "line 2: expected 2 cells .*, got 3 .a cell with a separator in it stands in quotes"),
        ('image,male\n"x,1\n', {}, "faces.csv line 2: expected a row of a CSV file, got unexpected end of data"),
        ('image,male\ny,0\n"x,1\nz,0\n', {}, "line 3: expected a row .*, got unexpected end of data .is a quote"),
        ("image,male\nx,1\n", {"columns": ["beard"]}, "faces.csv: column: expected one of male, got 'beard'"),
        ("image,male\nx,1\n", {"columns": ["image"]}, "faces.csv: column: expected a name .* got 'image'"),
        ("image,Male,MALE\nx,1,1\n", {"columns": ["male"]}, "column: expected one of Male, MALE, got 'male'"),
        ("image,male\nx,1\n", {"columns": ["male", "male"]}, "expected each attribute once, got male twice"),
        ("image,male\nx,1\n", {"columns": ["a=male|beard"]}, "faces.csv: column: expected one of male, got 'beard'"),
        ("image,male\nx,1\n", {"columns": ["a="]}, "faces.csv: column: expected one of male, got ''"),
        ("image,n\nx,1\ny,2\n", {"columns": ["a=!n"]}, "faces.csv line 3, column n: expected one of 0, 1, got '2'"),
        ("image,beard\nx,1\n", {"attributes": (HAIR, MALE)}, "column: expected one of hair, male, got 'beard'"),
        ("image,male,hair\nx,1,red\ny,0,pink\n", {"attributes": (HAIR, MALE)}, "line 3, column hair: .*got 'pink'"),
        ("image,Male\nx,7\n", {"attributes": (HAIR, MALE)}, "faces.csv line 2, column Male: .*of 0, 1, got '7'"),
        ("image,age\nx,old\n", {"attributes": (AGE,)}, "faces.csv line 2, column age: expected a finite number"),
        ("image,male,Male\nx,1,1\n", {"attributes": (MALE,)}, "faces.csv: expected one column for male, got two"),
        ("image,m\nx,1\n", {"columns": ["hair=m"], "attributes": (HAIR,)}, "column hair: expected black, .* 0 and 1"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path, content, arguments, message):
    with pytest.raises(UserError, match=message):
        read_csv(write(tmp_path, content), **arguments)


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match=rf"^{path.name}: expected a CSV file at {path}, got none"):
            read_csv(path)


def test_a_line_is_the_line_of_an_editor(tmp_path):
    path = write(tmp_path, 'image,text,male\nx,"two\nlines",1\ny,,2\n')
    with pytest.raises(UserError, match="line 4, column male"):
        read_csv(path, columns=["male"], attributes=(MALE,))


def test_columns_in_memory():
    values = torch.tensor([[1.0, 0.0], [NAN, 2.0]])
    assert select("faces", (MALE, HAIR), values, ())[0] == (MALE, HAIR)
    names, chosen = select("faces", (MALE, HAIR), values, ("Hair",))
    assert names == (HAIR._replace(name="Hair"),)
    same(chosen, [[0.0], [2.0]])
    with pytest.raises(UserError, match=r"faces: expected binary attributes in name=A\|!B, got x"):
        select("faces", (MALE, HAIR), values, ("x=male|hair",))
    with pytest.raises(UserError, match="faces: expected one of male, hair, got 'age'"):
        select("faces", (MALE, HAIR), values, ("age",))
