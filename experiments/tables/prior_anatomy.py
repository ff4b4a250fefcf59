"""`table prior-anatomy`: what bonds, order and covariances of each prior carry, on codes and with an attribute."""

import statistics

from matplotlib.figure import Figure

from experiments import pages
from experiments.anatomy.changes import CHANGES
from experiments.anatomy.figures import WHOLE
from experiments.anatomy.reading import Anatomy
from experiments.answers import Measure, best, entries, sentence
from experiments.heads import Head
from experiments.tables import protocol
from experiments.tables.judged import Judges
from experiments.tables.spec import Cell, Table
from models.shared import figures

# Row -> title, model, what makes it another.
ROWS = {
    "normal": ("N(0, I)", "vae", {"prior": "normal"}),
    "gmm": ("mixture of Gaussians", "vae", {"prior": "gmm"}),
    "gmm-full": ("mixture, full covariances", "vae", {"prior": "gmm", "covariance": "full"}),
    "lattice": ("lattice, a ring", "vae", {"prior": "trip", "cores": "full"}),
    "factored": ("lattice, factored cores", "vae", {"prior": "trip", "cores": "factored"}),
    "vector": ("one vector", "vae", {"prior": "trip"}),
    "vectors": ("two vectors", "vae", {"prior": "trip"}),
    "ttlp": ("lattice and the attribute", "joint-vae", {"prior": "ttlp", "block_size": None, "order": "data"}),
    "ttlp-vector": ("one vector and the attribute", "joint-vae", {"prior": "ttlp", "order": "data"}),
}
SIZES = {"gmm.components": 100, "gmm-full.components": 20, "lattice.rank": 20, "factored.rank": 100, "ttlp.rank": 64}
SIZES |= {"vector.block_size": 32, "vector.rank": 20, "vectors.block_size": 16, "vectors.rank": 50}
SIZES |= {"ttlp-vector.rank": 50}
SHARED = SIZES | {"epochs": 8, "warmup_epochs": 2, "binarize": "dynamic", "likelihood": "bernoulli", "network": "mlp"}
SHARED |= {"latent_dim": 32, "particles": 10}
COUNTS = {"turns": 15}
INTRODUCTION = (
    "Test part, {epochs} epochs of batches of {batch_size}, {latent_dim} latents, the same networks for all; mean +- "
    "standard error over seeds. -ELBO in nats an image (with the attribute: of both), lower is better; Frechet "
    "distance of decoded draws from the test images in the features of our own classifier ({extractor}, weights "
    "{weights}, right on {accuracy:.2%}). A step is one of Adam on one thread, median of {turns}; the prior's own is "
    "what it takes beyond a step of the same networks under N(0, I), which know no attribute."
)
TAKEN = (
    "The same figures of the trained model after a part of the prior was taken away; nothing is trained again. Bonds "
    "cut: the product of the law's own marginals over its variables, of a mixture over its latents. Bonds frozen: what "
    "is off the diagonals of the cores deleted, transitions of factored ones made the identity, which leaves a "
    "mixture of product laws. Order shuffled: each variable keeps its table at another place of the chain. Covariances "
    "dropped: Gaussians with the same means and variances. Empty: there is no such part."
)
BONDS = (
    "What the bonds carry: mutual information between the states of neighbours on the chain under the trained law, "
    "before anything is known; exact. Of states (a component of a latent, a Gaussian of a vector, a category), of "
    "which values may tell less."
)


def page(table, rows):
    """What each prior is worth and costs, the same after each change, what its bonds carry."""
    beside = rows[0].results[0]["beside"]
    budget = {knob: getattr(table.config("vae"), knob) for knob in ("epochs", "batch_size", "latent_dim")}
    parts = [
        f"# Anatomy of priors on {table.data}",
        INTRODUCTION.format(turns=beside["turns"], **budget, **beside["judge"]),
        pages.table(
            {
                "prior": lambda row: row.cell.titles,
                "-ELBO": lambda row: figure(row, WHOLE, "elbo"),
                "Frechet distance": lambda row: figure(row, WHOLE, "frechet"),
                "attribute imputed, %": lambda row: figure(row, WHOLE, "imputation"),
                "sizes": lambda row: sizes(row.results[0]["config"]),
                "parameters": lambda row: f"{row.results[0]['parameters']['prior']:,}",
                "ms a step": lambda row: row.mean(lambda result: result["milliseconds"]["own"], 1),
                "the prior's own ms": lambda row: row.mean(own_milliseconds, 1),
                "seeds": lambda row: str(len(row.results)),
                **Judges(rows).columns,
            },
            rows,
        ),
        TAKEN,
    ]
    altered = [row for row in rows if len(row.results[0]["anatomy"]) > 1]
    for title, key in KINDS.items():
        own = [row for row in altered if key in row.results[0]["anatomy"][WHOLE]]
        if own:
            parts += [f"{title}:", pages.table(columns(key), own)]
    chains = [row for row in rows if row.results[0]["information"]]
    return [*parts, *([BONDS, pages.table(CARRIED, chains), f"![Bonds]({table.name}.png)"] if chains else [])]


KINDS = {"-ELBO": "elbo", "Frechet distance": "frechet", "attribute imputed, %": "imputation"}
SIGNS = {"elbo": -1, "frechet": 1, "imputation": 100}
CARRIED = {
    "prior": lambda row: row.cell.titles,
    "bonds": lambda row: str(len(row.results[0]["information"])),
    "nats a bond": lambda row: row.mean(lambda result: statistics.mean(result["information"]), 3),
    "least": lambda row: row.mean(lambda result: min(result["information"]), 3),
    "most": lambda row: row.mean(lambda result: max(result["information"]), 3),
}


def columns(key):
    """A figure of the prior as trained and after every change."""
    every = {WHOLE: "as trained"} | {name: title for name, (title, _) in CHANGES.items()}
    return {"prior": lambda row: row.cell.titles} | {
        title: lambda row, name=name: figure(row, name, key) for name, title in every.items()
    }


def figure(row, name, key):
    """Mean and standard error of a figure after a change; empty where there is none."""
    values = [result["anatomy"].get(name, {}).get(key) for result in row.results]
    return pages.mean([None if value is None else SIGNS[key] * value for value in values])


def sizes(config):
    """What decides the size of a prior, as words."""
    words = {"components": "components", "rank": "rank", "block_size": "vectors of"}
    config = config | {"components": protocol.components(config)}
    known = [f"{word} {config[knob]}" for knob, word in words.items() if isinstance(config.get(knob), int)]
    return ", ".join(known)


def own_milliseconds(result):
    """What a step takes beyond one under N(0, I)."""
    return result["milliseconds"]["own"] - result["milliseconds"]["normal"]


def bonds(path, rows):
    """Information along the chain, a curve a prior, of the first seed."""
    chains = [row for row in rows if row.results[0]["information"]]
    drawing = Figure(figsize=(7, 3.5), layout="constrained")
    axis = drawing.subplots()
    for row in chains:
        carried = row.results[0]["information"]
        axis.plot(range(1, len(carried) + 1), carried, marker=".", label=row.cell.titles[0])
    axis.set(xlabel="bond along the chain", ylabel="information, nats", ylim=(0, None))
    axis.grid(alpha=0.3)
    if chains:
        axis.legend()
    figures.save(drawing, path)


def measured(name, title, key, digits=2, unit=""):
    """Of the prior after a change, as a `Measure`."""

    def read(result):
        value = result["anatomy"].get(name, {}).get(key)
        return None if value is None else SIGNS[key] * value

    return Measure(title, read, digits, unit)


LOST = {"frozen": "bonds frozen", "cut": "bonds cut", "shuffled": "order shuffled", "diagonal": "covariances dropped"}


def answer(rows):
    """The best bound, and how much the bound of lattices and of vectors rises without each part."""
    whole = measured(WHOLE, "-ELBO", "elbo", 2, " nats")
    return sentence(
        best(whole, entries(whole, [row for row in rows if row.cell.model == "vae"]), ROWS["normal"][0]),
        lost("lattices", [row for row in rows if of_chain(row) and not protocol.of_vectors(protocol.config(row))]),
        lost("vectors", [row for row in rows if of_chain(row) and protocol.of_vectors(protocol.config(row))]),
    )


def of_chain(row):
    """Whether a row's prior is a chain, of one variable even."""
    return "rank" in protocol.config(row)


def lost(called, rows):
    """How much the bound of some rows rises without each part, "" where nothing was taken away."""
    whole, said = measured(WHOLE, "-ELBO", "elbo"), []
    for name, words in LOST.items():
        changed = measured(name, "-ELBO", "elbo")
        losses = [changed.of(row).mean - whole.of(row).mean for row in rows if changed.of(row).values]
        if losses:
            least, most = f"{min(losses):.2f}", f"{max(losses):.2f}"
            said.append(f"{words} {least}{'' if least == most else f' to {most}'}")
    return f"of {called} it rises, in nats, with {', '.join(said)}" if said else ""


HEAD = Head(
    "What do bonds, order and covariances of a prior carry?",
    answer,
    "More seeds and longer training; priors of equal size; training again after a part is taken away.",
)
MADE = ("normal", "gmm", "gmm-full", "lattice", "factored", "vector", "vectors", "ttlp-vector")  # rows with results
CELLS = [
    Cell((row,), model, values, (0,) if row in MADE else (), (title,), reading=Anatomy)
    for row, (title, model, values) in ROWS.items()
]
TABLES = [
    Table(
        *("prior-anatomy", "what bonds, order and covariances of each prior carry", page, CELLS, SHARED, COUNTS),
        figure=bonds,
        head=HEAD,
    )
]
