"""What a table says before anything is fitted: its gaps, how its columns hang together, what a fit would do."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from pyro_priors.data.schema import ASIDE
from pyro_priors.distributions import Variables
from pyro_priors.distributions.kinds import Continuous, Discrete
from pyro_priors.modules.dependence import Dependence, measure_dependence
from pyro_priors.tables.describing import strongest
from pyro_priors.tables.frames.schema import Schema

ROWS = 20_000  # that dependencies are measured on; of more, some drawn evenly


def gap_lines(name: str, rows: int, schema: Schema, codes: np.ndarray) -> list[str]:
    """How large a table is, and the gaps of the columns that take part, those with most first."""
    missing = np.isnan(codes)
    whole = int((~missing.any(1)).sum())
    lines = [
        f"{name}: {rows:,} rows, {len(schema.fields)} columns, {len(schema.active)} of which take part",
        f"Gaps: {missing.sum():,} of their cells ({missing.mean() if missing.size else 0:.1%}), none in {whole:,} rows",
    ]
    counts = {field.name: int(count) for field, count in zip(schema.active_fields, missing.sum(0), strict=True)}
    counts = {name: count for name, count in sorted(counts.items(), key=lambda pair: -pair[1]) if count}
    width = max(map(len, counts), default=0)
    for column, count in counts.items():
        lines.append(f"  {column:<{width}}  {count:>{len(f'{max(counts.values()):,}')},} missing ({count / rows:.1%})")
    return lines


def schema_lines(schema: Schema, codes: np.ndarray, most: int) -> list[str]:
    """What the columns are, and the pairs of them that say most of each other."""
    lines = ["", "Columns", *(f"  {line}" for line in schema.describe())]
    pairs = pair_lines(dependence_of(schema, codes), most) if codes.size else []
    head = ["", "Which say most of each other (mutual information)"] if pairs else []
    return [*lines, *head, *(f"  {line}" for line in pairs)]


def dependence_of(schema: Schema, codes: np.ndarray) -> Dependence:
    """Mutual information between each two columns that take part, from the rows that know both."""
    if len(codes) > ROWS:
        codes = codes[np.linspace(0, len(codes) - 1, ROWS).astype(int)]
    kinds = {
        f"c{place}": Continuous(1) if field.categories is None else Discrete(max(len(field.categories), 1))
        for place, field in enumerate(schema.active_fields)
    }
    numbers = sum(isinstance(kind, Continuous) for kind in kinds.values())
    loc, scale = (torch.zeros(numbers, 1), torch.ones(numbers, 1)) if numbers else (None, None)
    measured = measure_dependence(torch.from_numpy(codes), Variables(kinds, loc, scale))
    return measured._replace(names=tuple(field.name for field in schema.active_fields))


def pair_lines(dependence: Dependence, most: int) -> list[str]:
    """The pairs of columns with most information on each other, those without any left out.

    Example:
        >>> nats = torch.tensor([[0.0, 0.25], [0.25, 0.0]])
        >>> pair_lines(Dependence(("age", "income"), nats, (0, 1)), 5)
        ['age and income: 0.250 nats']
    """
    pairs = strongest(dependence.names, dependence.information.numpy(), most)
    return [f"{left} and {right}: {nats:.3f} nats" for left, right, nats in pairs if nats > 0]


def plan_lines(schema: Schema, codes: np.ndarray, constant_gaps: Mapping[str, int]) -> list[str]:
    """What a fit would do with which columns; gaps of constant ones by name."""
    kinds = [field.kind for field in schema.active_fields]
    numbers = [f.name for f in schema.active_fields if f.categories is None]
    lines = [f"learn the joint law of {_some([f.name for f in schema.active_fields])}"] if kinds else []
    if numbers:
        lines += [f"take {_some(numbers)} as numbers: their gaps get the mean, and intervals"]
    others = [f.name for f in schema.active_fields if f.categories is not None]
    if others:
        lines += [f"take {_some(others)} as categories: their gaps get the most probable, and its probability"]
    empty = [field.name for field, column in zip(schema.active_fields, codes.T, strict=True) if np.isnan(column).all()]
    if empty:
        lines += [f"know nothing of {_some(empty)}, which are empty throughout"]
    if aside := [field.name for field in schema.fields if field.kind in ASIDE]:
        lines += [f"leave as they stand, gaps included: {_some(aside)}"]
    if constant_gaps:
        lines += [f"fill the gaps of {_some(list(constant_gaps))} by the only value there is"]
    gaps = int(np.isnan(codes).sum()) + sum(constant_gaps.values())
    return [*lines, f"fill {gaps:,} cells, and leave all others as they are to the byte" if gaps else "fill nothing"]


def _some(names: Sequence[str], most: int = 8) -> str:
    """
    Example:
        >>> _some(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    shown = names if len(names) <= most else names[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
