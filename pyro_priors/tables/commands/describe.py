"""`pyro-priors describe FILE.csv`: what its columns are, where its gaps are, how columns hang together."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from pyro_priors.data.schema import read_kinds
from pyro_priors.tables.commands import piecewise
from pyro_priors.tables.commands.reading import checked, look
from pyro_priors.tables.pieces.pieces import in_pieces
from pyro_priors.tables.reports.looking import gap_lines, plan_lines, schema_lines

FILE = tyro.conf.arg(metavar="FILE")


@dataclasses.dataclass(frozen=True)
class Describe:
    """Say what the columns of a CSV file are and why, where its gaps are, which columns hang together, and what
    `impute` would do. Nothing is fitted or written.
    """

    # CSV file, in UTF-8, with a header; a Parquet file; a folder of either, one table, which may outgrow memory.
    file: Annotated[tyro.conf.Positional[Path], FILE]
    kind: tuple[str, ...] = ()  # What columns are where it is not what is found: zip=categorical age=continuous.
    missing_as: tuple[str, ...] = ()  # Spellings of a missing cell besides an empty one, NA, NaN, null and the like.
    most: int = 10  # Pairs of columns that are named.


def main(config: Describe) -> None:
    """Print it."""
    checked("most", config.most)
    if in_pieces(config.file):
        piecewise.describe(config.file, config.kind, config.missing_as, config.most)
        return
    frame, schema, codes = look(config.file, read_kinds(config.kind), config.missing_as)
    print(*gap_lines(config.file.name, len(frame), schema, codes), sep="\n")
    print(*schema_lines(schema, codes, config.most), sep="\n")
    print(
        "\nWhat `impute` would do",
        *(f"  {line}" for line in plan_lines(schema, codes, schema.constant_gaps(frame))),
        sep="\n",
    )
