"""`table --check`: which page or figure is not what its results give."""

import re
import tempfile
from pathlib import Path

from experiments import heads, pages
from experiments.tables import catalogue, protocol, results
from experiments.tables.spec import Row
from models.shared import runs
from pyro_priors.checks import UserError


def main(name, folder):
    """Say what differs, of one page or of all; the exit status is 1 where anything does."""
    names = [*catalogue.tables(), *catalogue.PAGES]
    if name is not None and name not in names:
        raise UserError(f"table: expected one of {', '.join(names)}, got {name}")
    names = names if (every := name is None) else [name]
    wrong = [line for name in names for line in differences(name, folder)] + (index(folder) if every else [])
    print("\n".join(wrong or [f"{len(names)} page(s): as their results give"]))
    if wrong:
        raise SystemExit(1)


def differences(name, folder=pages.FOLDER):
    """What is not as its results give, a line each."""
    if name in catalogue.PAGES:
        return _of_page(name, folder)
    table = catalogue.table(name)
    rows, others = stored(table, folder / name, None)
    wrong = [f"{path}: not of the settings of a row of table {name}" for path in others]
    text, path = page(table, rows), folder / f"{name}.md"
    if not (text or path.exists()):  # nobody has made it yet
        return wrong
    wrong += _text(path, text)
    drawn = table.figure and text
    return wrong + (_figure(folder / f"{name}.png", lambda path: table.figure(path, rows)) if drawn else [])


def index(folder=pages.FOLDER):
    """What is wrong with the index page: its list, and pages that no command makes."""
    names = {*catalogue.tables(), *catalogue.PAGES}
    others = [path for path in sorted(folder.glob("*.md")) if path.name != heads.INDEX and path.stem not in names]
    wrong = [f"{path}: of no table and no other page" for path in others]
    if (text := heads.indexed(folder)) is not None:
        wrong += _text(folder / heads.INDEX, text)
    return wrong


def _of_page(name, folder):
    """The same of a page that no training makes."""
    module, values = catalogue.page(name), catalogue.values(name, folder)
    wrong = _text(folder / f"{name}.md", catalogue.text(name, values))
    if hasattr(module, "draw_results"):
        wrong += _figure(folder / f"{name}.png", lambda path: module.draw_results(path, values))
    return wrong


def _text(path, text):
    return [] if path.is_file() and path.read_text() == text else [f"{path}: another text than its results give"]


def _figure(path, draw):
    """Pixels are compared where the same version of matplotlib drew them; others set letters otherwise."""
    import matplotlib  # here, as PIL, since --help does without
    from PIL import Image, ImageChops

    if not path.is_file():
        return [f"{path}: expected a figure, got none"]
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder) / path.name)
        written, drawn = Image.open(path), Image.open(Path(folder) / path.name)
        if f"version{matplotlib.__version__}," not in written.text.get("Software", "").replace(" ", ""):
            return []
        differs = written.size != drawn.size or ImageChops.difference(written, drawn).getbbox(alpha_only=False)
    return [f"{path}: another figure than its results give"] if differs else []


def page(table, rows):
    """The text of a table; none where there is nothing to show."""
    provenances = [
        result[part] for row in rows for result in row.results for part in ("provenance", "evaluated") if part in result
    ]
    if not (parts := table.page(table, rows) if rows else []):
        return ""
    shown = next((place for place, part in enumerate(parts) if part and part[0].startswith(("|", "#")) and place), 1)
    parts = table.head.on([*parts[:shown], protocol.lines(table, rows), *parts[shown:]], rows)
    command = pages.command(["python", "-m", "experiments", "table", *table.command])
    return pages.text(*parts, command, pages.measured(provenances, f"{table.name}/"))


def stored(table, folder, beside):
    """What lies in a folder of results of the settings of a table -> its rows; paths of other settings.

    `beside(cell, seed)` is what else must have decided the results; None: whatever they say.
    """
    seeds = {int(match[1]) for path in folder.glob("*.json") if (match := re.search(r"-seed(\d+)$", path.stem))}
    rows, taken = [], set()
    for cell in table.cells:
        by_seed = {}
        for seed in sorted(seeds or {0}):
            train = table.train(cell, seed)
            path = folder / f"{train.name}.json"
            if path.is_file():
                written = runs.read_json(path).get("beside", {}) | table.needed(cell, seed)
                result = results.result(folder, train, beside(cell, seed) if beside else written, strict=False)
                if result is not None:
                    by_seed[seed], taken = result, taken | {path}
        if by_seed:
            rows.append(Row(cell, by_seed))
    return rows, sorted(set(folder.glob("*.json")) - taken)


def said(folder, key):
    """What the first result in a folder that says so had beside it; None where none says anything."""
    for path in sorted(folder.glob("*.json")):
        if key in (beside := runs.read_json(path).get("beside", {})):
            return beside[key]
    return None
