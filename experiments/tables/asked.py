"""What tables refuse to be asked for."""

from experiments.config import check_counts, check_rows
from pyro_priors.checks import UserError


def check_asked(table, rows, decided, some=("rows", "seeds"), counts=()):
    """`UserError` where a table is asked for rows that it does not have, for nothing, or for what its rows decide.

    Args:
        table: its configuration, with `rows`, and `train`, what all rows share.
        rows: those it has.
        decided: knobs of `train` that the rows, seeds and so on decide.
        some: fields of which there must be at least one.
        counts: fields that must be at least 1.
    """
    check_rows(table.rows, rows)
    check_left(table, "train", decided)
    for field in some:
        if not getattr(table, field):
            raise UserError(f"{field}: expected at least one, got none")
    check_counts(table, *counts)


def check_left(table, name, decided):
    """`UserError` where a configuration in a table sets what its rows decide."""
    shared = getattr(table, name)
    for field in sorted(decided):
        if getattr(shared, field, None) != getattr(type(shared), field, None):
            raise UserError(f"{name}.{field}: expected its default (the rows of the table decide it), got another")
