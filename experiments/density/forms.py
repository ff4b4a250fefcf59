"""`figure chain-forms`: cores x order x local x rank of our chain, on binary tables and on codes with a category."""

import dataclasses
import itertools
from pathlib import Path

from experiments import pages
from experiments.answers import Entry, Measure, best, sentence
from experiments.density import codes, fits
from experiments.density.page import shape
from experiments.density.plan import Page, Plan
from experiments.density.rows import Row
from experiments.density.sources import of_codes, of_table
from experiments.heads import headed
from experiments.launch import LaunchConfig
from experiments.trainings import check_counts, check_rows
from pyro_priors.checks import UserError, check_seed
from pyro_priors.data.binary_tables import names

AXES = ("cores", "order", "local", "rank")  # knobs of `TTLP`, each a flag of the command


@dataclasses.dataclass(frozen=True)
class ChainFormsConfig(LaunchConfig):
    """Fit the chain in every form of a grid, on every table of a folder and on the codes of a VAE with their category.

    Results land in RESULTS/chain-forms.json as each fit ends, the page in RESULTS/chain-forms.md; the same command goes
    on where it was stopped, and adds to what is there. A knob that is given no values is at its default.
    """

    path: Path | None = None  # Folder of binary tables, as of `table density`.
    sets: tuple[str, ...] | None = None  # Tables of it, by name; None: all that are there.
    run: Path | None = None  # Run of `train vae` on images with one attribute, to encode.
    codes: Path | None = None  # File of its codes: written where --run is given, read where it is not.
    data_root: Path | None = None  # Where the images of the run lie, if not where they did.
    images: int = 20_000  # Of the training part, to encode.
    cores: tuple[str, ...] = ()  # Forms of the cores.
    order: tuple[str, ...] = ("declared", "random")  # Orders of the variables in the chain.
    local: tuple[int, ...] = (1,)  # States inside a block at the start.
    rank: tuple[int, ...] = (20,)  # Bond states.
    seeds: tuple[int, ...] = (0,)  # The first tries all forms, the others the best on the validation part.
    runs_dir: Path = Path("runs")  # Where fits under way keep their files.
    results: Path = pages.FOLDER  # Where results lie.

    def __post_init__(self):
        super().__post_init__()
        check_counts(self, "images")
        if self.path is None and self.codes is None:
            raise UserError("path, codes: expected tables, codes or both, got none")
        for field, beside in (("sets", "path"), ("run", "codes"), ("data_root", "run")):
            if getattr(self, field) is not None and getattr(self, beside) is None:
                raise UserError(f"{field}: expected None without --{beside.replace('_', '-')}, got another")
        if self.run is None and self.images != ChainFormsConfig.images:
            raise UserError(f"images: expected its default without --run, got {self.images}")
        if not self.seeds:
            raise UserError("seeds: expected at least one, got none")
        for seed in self.seeds:
            check_seed(seed)


def main(config: ChainFormsConfig):
    """Encode where that is wanted, fit what is missing, and write results and page."""
    sources = {}
    if config.path is not None:
        there = names(config.path)
        check_rows(config.sets or there, there, "sets")
        sources |= {name: of_table(config.path, name) for name in config.sets or there}
    if config.run is not None:
        codes.write(config.codes, codes.encode(config.run, config.data_root, config.images))
    if config.codes is not None:
        sources |= {f"codes of {codes.read(config.codes).name}": of_codes(config.codes)}
    Plan(config, PAGE, {"chain": Row("chain", grid(config), fits.form)}, sources, {}).carry_out()


def grid(config):
    """`{name: knobs}` of every combination.

    Example:
        >>> grid(ChainFormsConfig(path=Path("tables"), order=("declared",), rank=(8, 16)))
        {'declared-local1-rank8': {'order': 'declared', 'local': 1, 'rank': 8},
         'declared-local1-rank16': {'order': 'declared', 'local': 1, 'rank': 16}}
    """
    axes = {axis: values for axis in AXES if (values := getattr(config, axis))}
    forms = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    return {"-".join(map(_word, form.items())): form for form in forms}


def _word(item):
    """Of a knob and its value in a name; words speak for themselves."""
    knob, value = item
    return value if isinstance(value, str) else f"{knob}{value}"


def answer(values):
    """The form that the validation part chooses, of each table, and its test score beside the next."""
    score, said = Measure("test log-density", None, 2, " nats", higher=True), []
    for table in dict.fromkeys(cell["set"] for cell in values["cells"].values()):
        own = [cell for cell in values["cells"].values() if cell["set"] == table]
        chosen = max(own, key=lambda cell: cell["valid"])["trial"]
        by = {
            trial: [c["test"] for c in own if c["trial"] == trial] for trial in dict.fromkeys(c["trial"] for c in own)
        }
        words = f"on {table} the validation part chooses {chosen}, of {len(by)} forms"
        said.append(f"{words}; {best(score, [Entry(*item) for item in by.items()])}")
    return sentence(*said)


@headed(
    "Which form of the chain explains best what no fit has seen: full or factored cores, which order, which rank?",
    answer,
    "Three seeds; forms of equal numbers of parameters; other tables.",
)
def page(values, name):
    """A table a set, the best on the validation part first."""
    cells = list(values["cells"].values())
    parts = [
        "# Forms of the chain",
        "Mean log-density in nats of rows that no fit has seen, higher is better, best on the validation part first; "
        "minutes of one processor. A knob that is not named is at its default. Of codes also: the category told by the "
        "latents.",
    ]
    for table in dict.fromkeys(cell["set"] for cell in cells):
        own = [cell for cell in cells if cell["set"] == table]
        forms = {}
        for cell in own:
            forms.setdefault(cell["trial"], []).append(cell)
        rows = sorted(forms.values(), key=lambda fits: -fits[0]["valid"])
        parts += [f"## {table}", shape(own[0]), pages.table(columns(own), rows)]
    return parts


def columns(cells):
    """Titles, and what stands beneath them of the fits of one form."""
    known = [axis for axis in AXES if any(axis in cell["form"] | cell["settings"] for cell in cells)]
    read = {axis: lambda fits, axis=axis: f"{(fits[0]['form'] | fits[0]['settings']).get(axis, '')}" for axis in known}
    read |= {
        title: lambda fits, key=key: _mean(fits, key) for title, key in (("test", "test"), ("validation", "valid"))
    }
    if "accuracy" in cells[0]:
        read["category right, %"] = lambda fits: pages.mean([100 * fit["accuracy"] for fit in fits], 1)
        read["its log-loss"] = lambda fits: _mean(fits, "log_loss", 3)
    read["minutes"] = lambda fits: pages.mean([fit["seconds"] / 60 for fit in fits], 1)
    return read | {"parameters": lambda fits: f"{fits[0]['parameters']:,}"}


def _mean(fits, key, digits=2):
    return pages.mean([fit[key] for fit in fits], digits)


PAGE = Page("chain-forms", ("figure", "chain-forms", "--path", "DIR", "--codes", "FILE"), page)
