"""What a report says of a table that was filled: its columns, gaps, dependencies, calibration, draws."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pyro_priors.data.schema import Field
from pyro_priors.metrics.dependence import dependence_figure
from pyro_priors.modules.dependence import Dependence, data_order
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.describing import strongest
from pyro_priors.tables.fits.calibration import LEVELS, HeldOut
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.reports.pictures import (
    Marginal,
    coverage_figure,
    gaps_figure,
    marginals_figure,
    png,
    reliability_figure,
)
from pyro_priors.tables.reports.report import Section, write_report

INFORMATION = 500  # draws that mutual information is measured on


def write_summary(
    folder: Path,
    name: str,
    schema: Schema,
    codes: np.ndarray,
    answers: Answers,
    drawn: np.ndarray,
    held_out: HeldOut | None = None,
) -> Path:
    """Write a report -> path of its page.

    Args:
        folder: where to.
        name: of the table.
        schema: what its columns are.
        codes: its cells, (n, C).
        drawn: the same with the gaps drawn, (draws, n, C).
        answers: of the law.
        held_out: as `calibration.hold_out` has it; None: the page says nothing of it.
    """
    fields = schema.active_fields
    sections = [_columns(schema, codes)] + ([_gaps(fields, codes)] if fields else [])
    if len(fields) > 1:
        sections += [_dependence(fields, np.asarray(answers.information(draws=INFORMATION)))]
    sections += [] if held_out is None else _held_out(held_out)
    if np.isnan(codes).any():
        sections += [_marginals(fields, codes, drawn)]
    return write_report(folder, f"{name}, filled", sections)


def _columns(schema: Schema, codes: np.ndarray) -> Section:
    missing = np.isnan(codes)
    counts = {place: int(count) for place, count in zip(schema.active, missing.sum(0), strict=True)}
    rows, values = [], []
    for place, field in enumerate(schema.fields):
        kind = f"{field.kind}, takes no part" if place not in counts else field.kind
        share = f"{counts[place] / max(len(codes), 1):.1%}" if place in counts else ""
        rows.append([field.name, kind, field.reason, field.example, counts.get(place, ""), share])
        values.append({"name": field.name, "kind": field.kind, "reason": field.reason, "missing": counts.get(place)})
    text = f"{len(codes):,} rows, {len(schema.fields)} columns, {missing.sum():,} gaps in those that take part."
    return Section("Columns", [text], ["column", "kind", "why", "such as", "gaps", ""], rows, values=values)


def _gaps(fields: Sequence[Field], codes: np.ndarray) -> Section:
    missing = np.isnan(codes)
    whole = int((~missing.any(1)).sum())
    values = {"rows": len(codes), "missing": int(missing.sum()), "complete rows": whole}
    pictures = {"gaps": png(gaps_figure([field.name for field in fields], missing))}
    return Section("Gaps", [f"{whole:,} of {len(codes):,} rows have none."], pictures=pictures, values=values)


def _dependence(fields: Sequence[Field], information: np.ndarray) -> Section:
    """Mutual information by the law, along the order in which neighbours know most of each other."""
    nats = torch.from_numpy((information + information.T) / 2).clamp(min=0)
    nats.fill_diagonal_(0)
    dependence = Dependence(tuple(field.name for field in fields), nats, data_order(nats))
    figure = dependence_figure(dependence)
    figure.suptitle("Columns in an order in which neighbours say much of each other", fontsize=9)
    return Section(
        "Which columns say most of each other",
        ["Mutual information in nats, by the law that was learned: 0 where they say nothing."],
        ["column", "and column", "nats"],
        strongest(dependence.names, nats.numpy()),
        {"dependence": png(figure)},
        {"columns": list(dependence.names), "nats": nats.tolist()},
    )


def _held_out(held_out: HeldOut) -> list[Section]:
    """What hidden cells say of intervals and of probabilities."""
    sections, numbers, categories = [], held_out.numbers, held_out.categories
    if numbers:
        counts = np.array([column.count for column in numbers])
        inside = counts @ np.array([column.inside for column in numbers]) / counts.sum()
        place = LEVELS.index(0.9)
        at_ninety = {column.name: column.inside[place] for column in numbers}
        parts = [column.even for column in numbers if column.even is not None]
        even = (counts @ np.array(parts) / counts.sum()).tolist() if len(parts) == len(numbers) else None
        sections.append(
            Section(
                "Numbers: how far the answers can be trusted",
                [
                    "Rows were held out of the fit, and some of their cells filled by a law that had not seen them. "
                    f"Of {counts.sum():,}, {inside[place]:.1%} were inside the interval of 90 %. Errors (root mean "
                    "square) and widths are in ranges of the column; a share of few cells says little. Where values "
                    "come again, an interval that holds one holds all of its probability, often more than 90 %: by "
                    "parts only what an exact one would hold of it counts."
                ],
                ["column", "hidden cells", "error", "inside 90 %", "by parts", "width of 90 %"],
                [
                    [
                        c.name,
                        c.count,
                        c.nrmse,
                        f"{c.inside[place]:.1%}",
                        f"{c.even[place]:.1%}" if c.even else "",
                        c.width,
                    ]
                    for c in numbers
                ],
                {"coverage": png(coverage_figure(LEVELS, inside.tolist(), at_ninety, even))},
                {"levels": LEVELS, "inside": inside.tolist(), "even": even, "columns": [c._asdict() for c in numbers]},
            )
        )
    if categories:
        pictures, bins = {}, None
        if (of := held_out.reliability) is not None:
            parts = [part.tolist() for part in of[:3]]
            pictures = {"reliability": png(reliability_figure(*parts))}
            bins = {"right": [p if n else None for p, n in zip(parts[1], parts[2], strict=True)], "cells": parts[2]}
        sections.append(
            Section(
                "Categories: how far the answers can be trusted",
                ["Of the same rows, cells of categories, filled by the most probable."],
                ["column", "hidden cells", "right", "the commonest would be right"],
                [[c.name, c.count, f"{c.accuracy:.1%}", f"{c.majority:.1%}"] for c in categories],
                pictures,
                {"columns": [c._asdict() for c in categories], "bins": bins},
            )
        )
    return sections


def _marginals(fields: Sequence[Field], codes: np.ndarray, drawn: np.ndarray) -> Section:
    missing = np.isnan(codes)
    most = [place for place in np.argsort(-missing.sum(0), kind="stable") if missing[:, place].any()]
    marginals = [
        Marginal(
            fields[place].name,
            codes[~missing[:, place], place],
            drawn[:, missing[:, place], place].ravel(),
            fields[place].categories,
        )
        for place in most
    ]
    text = (
        f"Each column's known cells, and {len(drawn)} draws for each of its gaps. The two may differ for a good "
        "reason: a cell may be missing more often where its row says that it is large, or of one category."
    )
    return Section("Known cells, and draws for the gaps", [text], pictures={"draws": png(marginals_figure(marginals))})
