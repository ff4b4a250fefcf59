"""Pictures of a table and of what a law makes of it, from plain arrays."""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 200  # of a table that the picture of its gaps shows
PANELS = 30  # columns whose marginals are shown
SHOWN = 12  # categories of a column that are shown by name
LETTERS = 18  # of a name
OBSERVED, DRAWN = "tab:blue", "tab:orange"


class Marginal(NamedTuple):
    """A column: its cells that were known, and draws for those that were missing.

    Args:
        name: of the column.
        observed, drawn: numbers, or indices of categories, each of any length.
        categories: their texts, None of numbers.
    """

    name: str
    observed: np.ndarray
    drawn: np.ndarray
    categories: Sequence[str] | None = None


def gaps_figure(names: Sequence[str], missing: np.ndarray) -> "Figure":
    """Where the gaps are: the share of each column, and some of the rows, those alike beside each other.

    Args:
        names: of the columns.
        missing: whether a cell is missing, (rows, columns) of bool.
    """
    from matplotlib.figure import Figure  # here, since matplotlib is slow to import

    count = len(names)
    figure = Figure(figsize=(min(max(4.0, 0.4 * count + 1), 16), 5), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(1, 2), sharex=True)
    shares = 100 * missing.mean(0) if len(missing) else np.zeros(count)
    upper.bar(np.arange(count), shares, color=OBSERVED)
    upper.set(ylabel="missing (%)", ylim=(0, max(1.05 * shares.max(initial=0), 1)))
    rows = missing[np.unique(np.linspace(0, max(len(missing) - 1, 0), ROWS).astype(int))] if len(missing) else missing
    rows = rows[np.lexsort(rows.T[::-1])] if len(rows) and count else rows
    lower.imshow(rows, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    every = "all" if len(rows) == len(missing) else f"{len(rows)} of {len(missing):,}"
    lower.set(ylabel=f"{every} rows, sorted (dark: missing)", yticks=[])
    _name(lower, names)
    return figure


def coverage_figure(
    levels: Sequence[float],
    coverage: Sequence[float],
    columns: Mapping[str, float],
    even: Sequence[float] | None = None,
) -> "Figure":
    """How often intervals hold cells that were hidden: all numbers by level, and each column at 90 %.

    Args:
        levels: of the intervals, between 0 and 1.
        coverage: the share of hidden cells inside, of each level.
        columns: {name: share of its hidden cells inside the interval of 90 %}.
        even: the share of each level where ties count by parts; None: not drawn.
    """
    from matplotlib.figure import Figure

    count = len(columns)
    figure = Figure(figsize=(9, max(3.4, 0.22 * count + 1)), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    left.plot(levels, coverage, "o-", color=OBSERVED, label="inside")
    if even is not None:
        left.plot(levels, even, "s--", color=DRAWN, label="inside, ties by parts")
        left.legend(fontsize=8)
    left.set(xlabel="level of the interval", ylabel="hidden cells inside", xlim=(0, 1), ylim=(0, 1))
    right.barh(np.arange(count), list(columns.values()), color=OBSERVED)
    right.axvline(0.9, color="0.3", linewidth=1)
    right.set_yticks(np.arange(count), [_short(name) for name in columns], fontsize=8, parse_math=False)
    right.set(xlabel="hidden cells inside intervals of 90 %", xlim=(0, 1))
    right.invert_yaxis()
    return figure


def reliability_figure(confidence: Sequence[float], accuracy: Sequence[float], count: Sequence[float]) -> "Figure":
    """How often the most probable category is right, against its probability, and how often it had that one.

    Args:
        confidence, accuracy: of each bin; NaN where it is empty.
        count: hidden cells of each bin.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(3, 1), sharex=True)
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    full = np.asarray(count) > 0
    upper.plot(np.asarray(confidence)[full], np.asarray(accuracy)[full], "o-", color=OBSERVED)
    upper.set(ylabel="how often it is right", xlim=(0, 1), ylim=(0, 1))
    edges = np.linspace(0, 1, len(count) + 1)
    lower.bar(edges[:-1], count, width=np.diff(edges), align="edge", color=OBSERVED, edgecolor="white")
    lower.set(xlabel="probability of the category", ylabel="cells")
    return figure


def marginals_figure(marginals: Sequence[Marginal]) -> "Figure":
    """The known cells of each column beside the draws for its gaps; at most 30 columns."""
    from matplotlib.figure import Figure

    marginals = marginals[:PANELS]
    columns = min(3, len(marginals)) or 1
    lines = -(-len(marginals) // columns) or 1
    figure = Figure(figsize=(3.6 * columns, 2.6 * lines), layout="constrained")
    axes = np.asarray(figure.subplots(lines, columns, squeeze=False)).ravel()
    for axis, marginal in zip(axes, marginals, strict=False):
        _marginal(axis, marginal)
    for axis in axes[len(marginals) :]:
        axis.set_visible(False)
    if marginals:
        axes[0].legend(fontsize=7)
    return figure


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*missing from.*font")  # names may have letters that no font here has
        figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def _marginal(axis: "Axes", marginal: Marginal) -> None:
    axis.set_title(_short(marginal.name), fontsize=9, parse_math=False)
    axis.tick_params(labelsize=7)
    axis.set_yticks([])
    parts = ((marginal.observed, "known cells", OBSERVED), (marginal.drawn, "draws for the gaps", DRAWN))
    if marginal.categories is None:
        ends = np.concatenate([marginal.observed, marginal.drawn])
        # The few furthest cells would leave no room for all others.
        low, high = np.quantile(ends, [0.005, 0.995]) if len(ends) else (0.0, 1.0)
        low, high = (low, high) if low < high else (low - 0.5, low + 0.5)
        edges = np.linspace(low, high, 26)
        for values, label, colour in parts:
            heights = np.histogram(values.clip(low, high), edges)[0] / max(len(values), 1)
            axis.stairs(heights, edges, fill=True, alpha=0.55, color=colour, label=label)
        return
    texts = list(marginal.categories)
    counts = [np.bincount(values.astype(int), minlength=len(texts)) / max(len(values), 1) for values, *_ in parts]
    most = np.sort(np.argsort(-counts[0], kind="stable")[:SHOWN])
    for side, (heights, (_, label, colour)) in enumerate(zip(counts, parts, strict=True)):
        axis.bar(np.arange(len(most)) + 0.4 * side - 0.2, heights[most], width=0.4, color=colour, label=label)
    axis.set_xticks(np.arange(len(most)), [_short(texts[k]) for k in most.tolist()], parse_math=False)
    axis.tick_params(axis="x", rotation=90 if len(most) > 3 else 0)


def _name(axis: "Axes", names: Sequence[str]) -> None:
    """Names below an axis, of very many some."""
    named = range(0, len(names), -(-len(names) // 60) or 1)
    axis.set_xticks(named, [_short(names[place]) for place in named], rotation=90, fontsize=8, parse_math=False)


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
