"""What `impute` and `describe` do with a table that outgrows memory: a folder, a Parquet file, a large CSV file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyro_priors.checks import UserError
from pyro_priors.data.schema import read_kinds
from pyro_priors.tables.commands.reading import load, of_user
from pyro_priors.tables.imputer import TableImputer
from pyro_priors.tables.pieces.filling import targets
from pyro_priors.tables.pieces.pieces import Pieces
from pyro_priors.tables.pieces.reading import Drawn, read
from pyro_priors.tables.pieces.survey import survey
from pyro_priors.tables.reports.looking import gap_lines, plan_lines, schema_lines


def check(file: Path, out: Path, whole: Mapping[str, Any]) -> Pieces:
    """The table, and all that can be said before any work; `whole` are the flags that want all rows at once."""
    for name, value in whole.items():
        if value:
            raise UserError(
                f"{name}: expected nothing beside {file}, which is filled in pieces (a CSV file that fits into memory "
                f"can have it), got {value}"
            )
    pieces = of_user(lambda: Pieces.of(file))
    of_user(lambda: targets(pieces, out))
    return pieces


def impute(pieces: Pieces, out: Path, model: Path | None, fitted: Callable[[Any], TableImputer]) -> None:
    """Fit or load, fill, write, and say what was done."""
    if model is not None and model.exists():
        imputer = load(model)
        print(f"{model}: a law of {len(imputer.schema_.active)} columns, none is fitted")
    else:
        imputer = fitted(pieces)
        print(*imputer.schema_.describe(), sep="\n")
        for record in imputer.records_[:1]:
            print(rows_line(record["table"]["rows"], record["table"]["drawn"]))
    files = of_user(lambda: imputer.fill_files(pieces, out))
    print(f"{out}: filled, {len(files)} {'files' if len(files) > 1 else 'file'}")


def describe(file: Path, kind: Sequence[str], missing_as: Sequence[str], most: int) -> None:
    """Print what the columns of a table in pieces are, by all its cells, and how they hang together, by drawn rows."""
    drawn = of_user(lambda: _read(file, read_kinds(kind), tuple(missing_as)))
    schema, codes = drawn.schema, drawn.codes
    print(rows_line(drawn.rows, len(codes)))
    print(*gap_lines("drawn rows", len(codes), schema, codes), sep="\n")
    print(*schema_lines(schema, codes, most), sep="\n")
    *plan, _ = plan_lines(schema, codes, {})
    print("\nWhat `impute` would do", *(f"  {line}" for line in plan), sep="\n")
    print(f"  fill {int(drawn.missing.sum()):,} cells, piece by piece")


def rows_line(rows: int, drawn: int) -> str:
    """
    Example:
        >>> rows_line(2_000_000, 768_011)
        '2,000,000 rows, of which 768,011 were drawn to learn from'
    """
    return f"{rows:,} rows, of which {drawn:,} were drawn to learn from"


def _read(path: Path, kinds: dict[str, str], also_missing: tuple[str, ...]) -> Drawn:
    pieces = Pieces.of(path)
    looked = survey(pieces, kinds, also_missing, 0)
    return read(pieces, looked.schema, 0, looked)
