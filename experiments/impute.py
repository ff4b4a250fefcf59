"""`impute RUN`: the empty cells of a CSV file of attributes, filled by a trained joint model that sees the pictures."""

import codecs
import csv
import dataclasses
import io
import re
from pathlib import Path
from typing import NamedTuple

import pyro
import torch
import tyro
from tqdm import tqdm

import inference
from experiments import build, data_folder
from experiments.attributes import match, read_csv
from experiments.config import UserError, check_seed
from experiments.images import Images, loader

BATCH = 500
CELL = re.compile(r',("(?:[^"]|"")*"|[^,]*)')  # one cell of a row that has a comma put before it


@dataclasses.dataclass(frozen=True)
class ImputeConfig:
    """Fill the empty cells of a CSV file with what a trained joint model makes of the pictures and the other cells.

    Cells that are given stay as they are, to the byte. Attributes of the model without a column get one. After the last
    column comes one an attribute: NAME_probability, of the category that was imputed, or for numbers NAME_sd, the
    standard deviation around the posterior mean that was imputed; it is empty where the cell was given.
    """

    run: tyro.conf.Positional[Path]  # Run folder that `train joint-vae` wrote.
    images: Path  # Folder of the pictures: images/, images.zip, or the pictures themselves.
    attributes: Path  # CSV file: column image, then one column an attribute; an empty cell is missing.
    out: Path  # CSV file to write.
    min_confidence: float = 0.0  # Leave a cell empty where its category is less probable than this (not numbers).
    draws: int = 16  # Draws of z for every picture.
    seed: int = 0  # Seed of the draws.


class Answers(NamedTuple):
    """What a model says about every cell, `(n, n_attributes)` each.

    `values` are states or standardised numbers, `certainty` the probability of the state or the standard deviation of
    the number.
    """

    values: torch.Tensor
    certainty: torch.Tensor


class Filled(NamedTuple):
    """The text of a filled CSV file, and how many of its empty cells were filled and how many left empty."""

    text: str
    filled: int
    left: int


def main(config: ImputeConfig):
    """Write the filled file, and say how many cells were filled and how many were left empty."""
    _check(config)
    run, model = build.trained(config.run)
    if not run.attributes:
        raise UserError(f"run: expected one with attributes (train joint-vae), got {run.folder.absolute()}")
    table = read_csv(config.attributes, attributes=run.attributes)
    source = config.attributes.read_bytes()
    rows = raw_rows(source.decode("utf-8-sig"))
    layout = columns(config.attributes.name, rows, table.attributes)
    pixels = data_folder.pictures_named(config.images, table.images, run.image_shape[-1], run.image_shape[0])
    pyro.set_rng_seed(config.seed)
    # A model that learned from 0/1 pixels is asked about such pixels.
    found = answers(model, table, Images(pixels, run.config.binarize == "dynamic"), config.draws)
    result = fill(rows, layout, table, found, config.min_confidence)
    mark = codecs.BOM_UTF8 if source.startswith(codecs.BOM_UTF8) else b""
    inference.replace_file(config.out, lambda temporary: temporary.write_bytes(mark + result.text.encode()))
    print(f"{result.filled} cells filled, {result.left} left empty")
    print(config.out)


def answers(model, table, images, draws):
    """What the model says about every cell of a table, given the pictures and the cells that are not empty.

    Args:
        model: a joint model, whose attributes are those of the table.
        table: `experiments.attributes.Table`.
        images: `Images`, one for every row.
        draws: draws of z for every picture.
    """
    values, certainty = torch.full_like(table.values, torch.nan), torch.full_like(table.values, torch.nan)
    numbers = [column for column, attribute in enumerate(table.attributes) if attribute.categories is None]
    batches = zip(loader(images, BATCH), torch.arange(len(images)).split(BATCH), strict=True)
    for x, rows in tqdm(
        batches, desc="impute", total=-(-len(images) // BATCH), leave=False, disable=len(images) < 2000
    ):
        y = table.values[rows]
        probs = inference.classify(model, x, y, draws)
        for column, attribute in enumerate(table.attributes):
            if attribute.categories is not None:
                certainty[rows, column], state = probs[attribute.name].max(-1)
                values[rows, column] = state.to(values)
        if numbers:
            drawn = inference.impute(model, x, y, draws)
            for column in numbers:
                values[rows, column] = drawn[..., column].mean(0)
                if draws > 1:
                    certainty[rows, column] = drawn[..., column].std(0) * table.attributes[column].scale
    return Answers(values, certainty)


def raw_rows(text):
    """Rows of a CSV file as [(cells, line end), ...], quotes and blanks kept; a blank line has no cells.

    Example:
        >>> raw_rows('image,hair\\r\\n"a ""b"".png", 1\\n')
        [(['image', 'hair'], '\\r\\n'), (['"a ""b"".png"', ' 1'], '\\n')]
    """
    lines = list(io.StringIO(text, newline=""))
    reader, start, rows = csv.reader(lines, strict=True), 0, []
    for row in reader:
        raw = "".join(lines[start : reader.line_num])  # a cell in quotes may hold line ends
        body = raw.rstrip("\r\n")
        rows.append((CELL.findall(f",{body}") if row else [], raw[len(body) :]))
        start = reader.line_num
    return rows


def columns(name, rows, attributes):
    """Where the answers go.

    Args:
        name: of the file.
        rows: its `raw_rows`.
        attributes: of the model.

    Returns:
        the names of the columns to add; for each attribute the position of its column; the same of its certainty

    Raises:
        UserError: a column to add is there already.
    """
    header = next(cells for cells, _ in rows if cells)
    header = [text.strip() for text in next(csv.reader([",".join(header)]))]
    known = [attribute.name for attribute in attributes]
    owners = {match(text, known, name): place for place, text in enumerate(header) if text != "image"}
    added = [text for text in known if text not in owners]
    owners |= {text: len(header) + place for place, text in enumerate(added)}
    first = len(header) + len(added)
    added += [f"{a.name}_{'sd' if a.categories is None else 'probability'}" for a in attributes]
    if taken := {text for text in added if [*header, *added].count(text) > 1}:
        raise UserError(f"{name}: expected no column {min(taken)!r}, the name of one to be added")
    return added, [owners[text] for text in known], list(range(first, first + len(known)))


def fill(rows, layout, table, found, min_confidence=0.0):
    """Fill the empty cells of a CSV file.

    Args:
        rows: its `raw_rows`.
        layout: its `columns`.
        table: what `read_csv` made of it.
        found: `Answers` about its cells.
        min_confidence: cells stay empty where the probability of their category is less.
    """
    added, places, certainty_places = layout
    empty, values, certainty = table.values.isnan().tolist(), found.values.tolist(), found.certainty.tolist()
    written, filled, left, row = [], 0, 0, -1
    for cells, end in rows:
        if cells and row < 0:
            cells = cells + [_quoted(name) for name in added]
        elif cells:
            cells = cells + [""] * len(added)
            for column, attribute in enumerate(table.attributes):
                if not empty[row][column]:
                    continue
                sure = f"{certainty[row][column]:.6g}".replace("nan", "")
                cells[certainty_places[column]] = sure
                # Compared as written: what the file says of a cell and what was done with it must agree.
                if attribute.categories is not None and float(sure) < min_confidence:
                    left += 1
                    continue
                cells[places[column]] = _quoted(attribute.format(values[row][column]))
                filled += 1
        row += bool(cells)
        written.append(",".join(cells) + end)
    return Filled("".join(written), filled, left)


def _quoted(text):
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def _check(config):
    if not 0 <= config.min_confidence <= 1:
        raise UserError(f"min_confidence: expected a number in [0, 1], got {config.min_confidence}")
    if config.draws < 1:
        raise UserError(f"draws: expected at least 1, got {config.draws}")
    check_seed(config.seed)
    if not config.images.is_dir():
        raise UserError(f"images: expected a folder of pictures, got none at {config.images.absolute()}")
    if not config.attributes.is_file():
        raise UserError(f"attributes: expected a CSV file, got none at {config.attributes.absolute()}")
    if not config.out.parent.is_dir():
        raise UserError(f"out: expected a file in a folder that is there, got none at {config.out.parent.absolute()}")
    if config.out.is_dir():
        raise UserError(f"out: expected a file to write, got the folder {config.out.absolute()}")
    if config.out.exists() and config.out.samefile(config.attributes):
        raise UserError(f"out: expected another file than --attributes, got the same, {config.out.absolute()}")
