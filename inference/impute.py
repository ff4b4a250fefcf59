"""`impute RUN`: the empty cells of a CSV file of attributes, filled by a trained joint model that sees the images."""

import codecs
import dataclasses
from pathlib import Path
from typing import Literal, NamedTuple

import pyro
import torch
import tyro

from models.shared import runs
from models.shared.answers import answers
from pyro_priors import training
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data import csv_files, user_folder
from pyro_priors.data.attribute_table import table_of
from pyro_priors.data.columns import choose, match, some
from pyro_priors.data.images import Images
from pyro_priors.data.numerals import PLAIN
from pyro_priors.data.raw_rows import quoted, raw_rows
from pyro_priors.training.files import check_output


@dataclasses.dataclass(frozen=True)
class Impute:
    """Fill the empty cells of a CSV file with what a trained joint model makes of the images and the other cells.

    A cell that says NA, N/A, NaN, null or #N/A, or in a column of numbers None, ? or -, is empty too. Cells that are
    given stay as they are, to the byte. Attributes of the model without a column get one; where the
    model was trained on NAME=A|!B and the file has no column NAME but A and B, what these say of NAME stands in it as
    given. After the last column comes one an attribute: NAME_probability, of the category that was imputed, or for
    numbers NAME_sd, the standard deviation around the posterior mean that was imputed; it is empty where the cell was
    given.

    Other columns are refused, or with --other-columns copy copied as they are. A file that this command wrote can be
    filled further that way: NAME_probability and NAME_sd are then not added again but written where NAME is empty, and
    elsewhere stay as they are, so that they still say how sure the answers of the first time were.
    """

    run: tyro.conf.Positional[Path]  # Run folder that `train` wrote, of a model that infers attributes.
    images: Path  # Folder of the images: images/, images.zip, or the images themselves.
    attributes: Path  # CSV file: column image, then one column an attribute; an empty cell is missing.
    out: Path  # CSV file to write.
    min_confidence: float = 0.0  # Leave a cell empty where its category is less probable than this (not numbers).
    other_columns: Literal["refuse", "copy"] = "refuse"  # Columns that are no attribute of the model.
    draws: int = 16  # Draws of z for every image.
    seed: int = 0  # Seed of the draws.


class Cells(NamedTuple):
    """What a model says about every cell, `(n, n_attributes)` each.

    `values` are states or standardised numbers, `certainty` the probability of the state or the standard deviation of
    the number.
    """

    values: torch.Tensor
    certainty: torch.Tensor


class Layout(NamedTuple):
    """What is read from which columns of a CSV file, and where the answers go.

    Args:
        read: what says something of the model's attributes, as `read_csv` wants it; None = nothing.
        added: names of the columns to add.
        places: for each attribute, the position of its column.
        certainty: the same of the column of its certainty.
    """

    read: list[str] | None
    added: list[str]
    places: list[int]
    certainty: list[int]


class Filled(NamedTuple):
    """The text of a filled CSV file, and how many of its empty cells were filled and how many left empty."""

    text: str
    filled: int
    left: int


def main(config: Impute):
    """Write the filled file, and say how many cells were filled and how many were left empty."""
    _check(config)
    run, model = runs.trained(config.run)
    if not run.attributes or not hasattr(model, "attribute_law"):
        raise UserError(
            f"run: expected one that infers attributes, got a {run.config.model} in {run.folder.absolute()}"
        )
    file = csv_files.read(config.attributes)
    layout = columns(file.name, file.header, run.attributes, run.config.attributes, config.other_columns == "copy")
    table = table_of(file, layout.read, run.attributes, run.kinds, run.config.also_missing)
    rows = raw_rows(file.source.decode("utf-8-sig"), file.separator)
    where = [f"{file.name} line {line}, column image" for line in table.lines]
    pixels = user_folder.images_named(config.images, table.images, run.image_shape[-1], run.image_shape[0], where)
    pyro.set_rng_seed(config.seed)
    # A model that learned from 0/1 pixels is asked about such pixels.
    images = Images(pixels, run.config.binarize == "dynamic", table.values)
    answered = cells(model, table, images, config.draws)
    result = fill(rows, layout, table, answered, config.min_confidence, file.separator)
    mark = codecs.BOM_UTF8 if file.source.startswith(codecs.BOM_UTF8) else b""
    training.replace_file(config.out, lambda temporary: temporary.write_bytes(mark + result.text.encode()))
    print(f"{result.filled} cells filled, {result.left} left empty")
    print(config.out)


def cells(model, table, images, draws):
    """What the model says about every cell of a table, given the images and the cells that are not empty.

    Args:
        model: a joint model, whose attributes are those of the table.
        table: `pyro_priors.data.attributes.Table`.
        images: `Images` with the values of the table, one for every row.
        draws: draws of z for every image.
    """
    answered = answers(model, images, draws, deviations=draws > 1, progress="impute")
    values, certainty = torch.full_like(table.values, torch.nan), torch.full_like(table.values, torch.nan)
    for column, attribute in enumerate(table.attributes):
        if attribute.categories is not None:
            certainty[:, column], state = answered.probs[attribute.name].max(-1)
            values[:, column] = state.to(values)
        else:
            values[:, column] = answered.means[:, column]
            if draws > 1:
                certainty[:, column] = answered.deviations[:, column] * attribute.scale
    return Cells(values, certainty)


def columns(name, header, attributes, recipes=(), copy=False):
    """Where a CSV file says something of a model's attributes, and where the answers go -> `Layout`.

    Args:
        name: of the file.
        header: names of its columns.
        attributes: of the model.
        recipes: the columns that the model was trained on, as `read_csv` takes them; those with `=` are applied where
            the file has no column of the name, but all that the recipe needs.
        copy: columns that say nothing are left alone, and NAME_probability and NAME_sd among them are not added again.

    Raises:
        UserError: a column that says nothing, unless `copy`; one to be added is there already.

    Example:
        >>> from pyro_priors.data.attributes import Attribute
        >>> bald, age = Attribute("bald", ("0", "1")), Attribute("age", None)
        >>> columns("faces.csv", ["image", "age", "hair"], [bald, age], ["bald=!hair", "age"])
        Layout(read=['age', 'bald=!hair'], added=['bald', 'bald_probability', 'age_sd'],
               places=[3, 1], certainty=[4, 5])
    """
    header = [text.strip() for text in header]
    others, known, where = [text for text in header if text != "image"], [a.name for a in attributes], f"{name}: column"
    owners = {text: match(text, others, where) for text in known if _among([text], others)}
    owners = {text: column for text, column in owners.items() if match(column, known, where) == text}
    read, used = list(owners), set(owners.values())
    for recipe in recipes:
        text, equals, terms = recipe.partition("=")
        terms = [term.strip().removeprefix("!").strip() for term in terms.split("|")]
        if equals and text.strip() not in owners and _among(terms, others):
            read.append(recipe)
            used |= {term for term, _ in choose(where, [recipe], others)[0].terms}
    free = [text for text in others if text not in used]
    if free and not copy:
        raise UserError(
            f"{where}: expected one of {some(known)}, got {some(map(repr, free))} "
            "(pass --other-columns copy to copy them as they are)"
        )
    certainty = [f"{a.name}_{'sd' if a.categories is None else 'probability'}" for a in attributes]
    added = [text for text in known if text not in owners] + [text for text in certainty if text not in free]
    if taken := {text for text in added if [*header, *added].count(text) > 1}:
        raise UserError(f"{name}: expected no column {min(taken)!r}, the name of one to be added")
    place = {text: position for position, text in enumerate([*header, *added])}
    return Layout(read or None, added, [place[owners.get(text, text)] for text in known], [place[t] for t in certainty])


def _among(names, others):
    """Whether all are there, whatever their case."""
    return {name.lower() for name in names} <= {other.lower() for other in others}


def fill(rows, layout, table, answered, min_confidence=0.0, separator=","):
    """Fill the empty cells of a CSV file; numbers are written with the decimal sign of their column.

    Args:
        rows: its `raw_rows`.
        layout: its `columns`.
        table: what `read_csv` made of it.
        answered: `Cells`.
        min_confidence: cells stay empty where the probability of their category is less.
        separator: of its cells.
    """
    styles = {field.name: field.style for field in table.schema}
    decimal = "," if any(style.decimal == "," for style in styles.values()) else "."
    empty, given = table.values.isnan().tolist(), table.values.tolist()
    values, certainty = answered.values.tolist(), answered.certainty.tolist()
    written, filled, left, row = [], 0, 0, -1
    for cells, end in rows:
        if cells and row < 0:
            cells = cells + [quoted(name, separator) for name in layout.added]
        elif cells:
            width, cells = len(cells), cells + [""] * len(layout.added)
            for column, attribute in enumerate(table.attributes):
                place = layout.places[column]
                if not empty[row][column]:
                    if place >= width:  # from a recipe: the file has no cell of its own
                        cells[place] = quoted(attribute.format(given[row][column]), separator)
                    continue
                sure = f"{certainty[row][column]:.6g}".replace("nan", "")
                cells[layout.certainty[column]] = quoted(sure.replace(".", decimal), separator)
                # Compared as written: what the file says of a cell and what was done with it must agree.
                if attribute.categories is not None and float(sure) < min_confidence:
                    left += 1
                    continue
                answer = attribute.format(values[row][column], styles.get(attribute.name, PLAIN))
                cells[place] = quoted(answer, separator)
                filled += 1
        row += bool(cells)
        written.append(separator.join(cells) + end)
    return Filled("".join(written), filled, left)


def _check(config):
    if not 0 <= config.min_confidence <= 1:
        raise UserError(f"min_confidence: expected a number in [0, 1], got {config.min_confidence}")
    if config.draws < 1:
        raise UserError(f"draws: expected at least 1, got {config.draws}")
    check_seed(config.seed)
    if not config.images.is_dir():
        raise UserError(f"images: expected a folder of images, got none at {config.images.absolute()}")
    if not config.attributes.is_file():
        raise UserError(f"attributes: expected a CSV file, got none at {config.attributes.absolute()}")
    parent = config.out.parent
    if not parent.is_dir():
        raise UserError(f"out: expected a file in a folder that is there, got none at {parent.absolute()}")
    check_output("out", config.out, (config.attributes, *runs.files(config.run), *_images(config.images)))


def _images(folder):
    """The files in which there may be images."""
    for root in (folder, folder / "images"):
        if root.is_dir():
            yield from (path for path in root.iterdir() if path.suffix != ".csv")
