"""A fitted `TableImputer`, explored."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyro_priors.data.dates import DateForm
from pyro_priors.data.schema import Field
from pyro_priors.data.writing import EXACT
from pyro_priors.explore.subject import Given, Row, Subject
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.evidence import add_given, read_given
from pyro_priors.tables.frames.frames import Frame
from pyro_priors.tables.frames.schema import cells_of
from pyro_priors.tables.imputer import TableImputer

MOST_ROWS = 200  # of a file that are handed to the page


class TableSubject(Subject):
    """The columns of a table that take part in its law.

    Args:
        imputer: fitted.
        title: what it is called.
        path: where it lies, for the lines of Python.

    Raises:
        ValueError: an imputer that is not fitted, or of whose columns none takes part.
    """

    kind = "table"

    def __init__(self, imputer: TableImputer, title: str = "A table", path: str = "MODEL"):
        if not getattr(imputer, "laws_", None):
            raise ValueError(f"imputer: expected a fitted one whose columns say something, got {imputer!r:.80}")
        self.imputer, self.schema, self.path = imputer, imputer.schema_, path
        self.answers = Answers(imputer.laws_, [field.name for field in self.schema.active_fields])
        super().__init__(title, self.answers.wides, [_row(field) for field in self.schema.active_fields])

    def read(self, given: Mapping[str, Any]) -> Given:
        nothing = np.full((1, len(self.rows)), np.nan)
        return Given(given, *add_given(self.schema, nothing, read_given(self.schema, given)))

    def text(self, column: int, value: float) -> str:
        field = self.schema.active_fields[column]
        form = field.form
        if not math.isfinite(value) or form is None or (not isinstance(form, DateForm) and form.decimals >= EXACT):
            return super().text(column, value)
        return cells_of(field, form, np.array([value]), numeric=False)[0]

    def log_prob(self, given: Given, score: float) -> float | None:
        return None if given.ranges else float(self.answers.log_score(given.codes)[0])

    def rows_of(self, content: bytes) -> list[dict[str, Any]]:
        """What the rows of a CSV file say, by the names of columns: no more than `MOST_ROWS`.

        Raises:
            ValueError: no CSV file, other columns than in the fit, a cell that its column cannot have.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "dropped.csv"
            path.write_bytes(content)
            codes = self.schema.encode(Frame.of(path))
        return [self._said(row) for row in codes[:MOST_ROWS]]

    def _said(self, codes: np.ndarray) -> dict[str, Any]:
        said = {}
        for column, (row, code) in enumerate(zip(self.rows, codes.tolist(), strict=True)):
            if not math.isnan(code):
                field = self.schema.active_fields[column]
                as_text = row.categories is not None or isinstance(field.form, DateForm)
                said[row.name] = cells_of(field, field.form, np.array([code]), numeric=False)[0] if as_text else code
        return said

    def lines(self, given: Mapping[str, Any]) -> str:
        left = [row for row in self.rows if row.name not in given] or self.rows
        said = ", ".join(f"{name!r}: {value!r}" for name, value in given.items())
        lines = [
            "import pandas as pd",
            "from pyro_priors.tables import TableImputer",
            "",
            f"imputer = TableImputer.load({self.path!r})",
            "row = pd.DataFrame([dict.fromkeys(field.name for field in imputer.schema_.fields)])",
            f"given = {{{said}}}",
        ]
        states = next((row for row in left if row.kind == "category"), None)
        if states is not None:
            lines.append(f"imputer.proba(row, {states.name!r}, given=given)")
        if any(row.kind == "number" for row in left):
            lines.append("imputer.interval(row, 0.9, given=given)")
        return "\n".join(lines)


def _row(field: Field) -> Row:
    return Row(field.name, "number" if field.categories is None else "category", field.categories, field.kind)
