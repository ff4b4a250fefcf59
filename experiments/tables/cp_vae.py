"""`table cp-vae-mnist` and others: CP-VAE Table 1, and how well its categories match labels."""

from experiments import pages
from experiments.answers import Measure, best, entries, sentence
from experiments.heads import Head
from experiments.tables.reading import Summary, Tight
from experiments.tables.spec import Cell, Table

# Row -> title, model, what makes it another, the knob that holds K.
ROWS = {
    "cp": ("CP-VAE", "cp-vae", {}, "categories"),
    "vae": ("VAE, N(0, I)", "vae", {"prior": "normal"}, None),
    "mg": ("VAE, mixture of K Gaussians", "vae", {"prior": "gmm", "weights": "equal"}, "components"),
    "vp": ("VAE, VampPrior of K", "vae", {"prior": "vamp"}, "pseudo_inputs"),
    "hvae": ("two levels, N(0, I)", "hierarchical-vae", {"prior": "normal"}, None),
    "hvp": ("two levels, VampPrior of K", "hierarchical-vae", {"prior": "vamp"}, "pseudo_inputs"),
}
# -ELBO of CP-VAE Table 1 by data, row and K (0 where there is none).
PAPER = {
    "mnist": {
        "cp": {10: "84.76", 150: "86.84", 500: "88.63"},
        "vae": {0: "88.75"},
        "mg": {10: "89.43", 150: "88.96", 500: "88.85"},
        "vp": {10: "87.94", 150: "86.55", 500: "86.07"},
        "hvae": {0: "86.7"},
        "hvp": {10: "85.90", 150: "85.09", 500: "85.01"},
    },
    "omniglot": {
        "cp": {50: "114.31", 500: "114.14"},
        "vae": {0: "115.06"},
        "mg": {50: "116.31", 500: "116.12"},
        "vp": {50: "114.01", 500: "113.74"},
        "hvae": {0: "110.81"},
        "hvp": {50: "110.50", 500: "110.16"},
    },
}
SHARED = {"latent_dim": 40, "batch_size": 250, "lr": 3e-3, "prior_lr": 1e-2, "decay": True}
SHARED |= {"particles": 10, "patience": 50}
INTRODUCTION = (
    "Test set, nats per image, lower is better, with hard categories; mean +- standard error over the seeds. Clusters: "
    "most probable categories of the test images against labels that training has not seen, under the best "
    "one-to-one match, or each category standing for the label it holds most of."
)
TIGHT = (
    " -IWAE is by the draws of training; by {particles:,} draws it is -ELBO less what these gain on the first "
    "{count:,} images, of the seeds whose models were kept."
)
CLUSTERS = ("cluster accuracy, %", "best seed", "majority, %", "NMI", "used")


def page(table, rows):
    """-ELBO by row and K beside the paper's, and the clusters of CP-VAE."""
    found = [result["tight"] for row in rows for result in row.results if "tight" in result]
    draws = found[0]["particles"] if found else 0
    return [
        f"# Two-level priors on {table.data} (CP-VAE Table 1)",
        INTRODUCTION + (TIGHT.format(**found[0]) if found else ""),
        pages.table(
            {
                "model": title,
                "K": lambda row: str(*row.cell.key[1:]),
                "seeds": lambda row: str(len(row.results)),
                "-ELBO": lambda row: row.mean(lambda result: -result["test"]["elbo"]),
                "paper": lambda row: row.cell.paper or "",
                "-IWAE": lambda row: row.mean(lambda result: -result["test"]["iwae"]),
                **({f"-IWAE, {draws:,}": tight} if draws else {}),
                CLUSTERS: clusters,
            },
            rows,
        ),
    ]


def tight(row):
    """-IWAE of the test set by many draws, from what they gain on a part of it."""

    def bound(result):
        part = result["tight"]
        return -result["test"]["elbo"] - (part["iwae"] - part["elbo"])

    return pages.mean([bound(result) for result in row.results if "tight" in result])


def title(row):
    """Of the row, and for CP-VAE how it was trained."""
    config, words = row.results[0]["config"], row.cell.titles[0]
    if row.cell.model != "cp-vae":
        return words
    summed = f"sum over the {config['top']} most probable c" if config.get("top") else "sum over c"
    how = {"gumbel": "Gumbel-Softmax", "enumerate": summed}[config["estimator"]]
    blind = f", categories from epoch {config['blind_epochs'] + 1} on" if config["blind_epochs"] else ""
    return f"{words}, {how}{blind}"


def clusters(row):
    """Of categories, where there are labels to compare them with."""
    parts = [result["test"]["clusters"] for result in row.results if "clusters" in result["test"]]
    if not parts:
        return [""] * len(CLUSTERS)
    accuracy, majority = ([100 * part[name] for part in parts] for name in ("accuracy", "majority_accuracy"))
    numbers = [pages.mean([part[name] for part in parts], digits) for name, digits in (("nmi", 3), ("used", 0))]
    return [pages.mean(accuracy), f"{max(accuracy):.2f}", pages.mean(majority), *numbers]


BOUND = Measure("-ELBO", lambda result: -result["test"]["elbo"], unit=" nats")


def answer(rows):
    """Which row has the best bound, where CP-VAE stands, and how far it is from the paper."""
    compared = entries(BOUND, rows)
    own = [(row, BOUND.of(row)) for row in rows if row.cell.key[0] == "cp"]
    said = [best(BOUND, compared)]
    for row, entry in own:
        gap = entry.mean - float(row.cell.paper)
        side = "above" if gap > 0 else "below"
        said.append(f"{row.cell.called} has {BOUND.number(entry.mean)}, {BOUND.number(abs(gap))} {side} the paper")
        if row.results[0]["test"].get("clusters"):
            said[-1] += f", and its categories match labels in {clusters(row)[0]} %"
    return sentence(*said)


HEAD = Head(
    "Does a categorical prior on top of the latents (CP-VAE) give a better bound than one-level and two-level rivals, "
    "and do its categories match labels that training has not seen?",
    answer,
    "The paper's budget (training until nothing improves); three seeds for every row; flows as rivals.",
)


def table(name, line, seeds, shared, data="mnist", reading=Summary):
    """A page; `seeds` are those of results in the checkout, by row and K."""
    cells = []
    for row, count in [(row, count) for row, counts in PAPER[data].items() for count in counts]:
        title, model, values, knob = ROWS[row]
        how = {} if row != "cp" else {"estimator": "enumerate"} if count <= 10 else {"estimator": "gumbel", "top": None}
        values = {**values, **how, **({knob: count} if knob else {})}
        key = (row, count) if count else (row,)
        label = title.replace(" K", f" {count}") if " K" in title or not count else f"{title} of {count}"
        cell = Cell(key, model, values, seeds.get(key, ()), (title,), PAPER[data][row][count], reading, label=label)
        cells.append(cell)
    return Table(
        name, line, page, cells, {**SHARED, **({"data": data} if data != "mnist" else {}), **shared}, head=HEAD
    )


def drawn(epochs, warmup, blind, falls):
    """Budgets of tables with more categories than can be summed over."""
    own = {"blind_epochs": blind, "temperature": 0.5, "last_temperature": 0.1, "temperature_epochs": falls}
    return {"epochs": epochs, "warmup_epochs": warmup, **{f"cp-vae.{knob}": value for knob, value in own.items()}}


def once(rows, counts):
    """A seed of each of these."""
    return {((row, count) if ROWS[row][3] else (row,)): (0,) for row in rows for count in counts}


SUMMED = {"epochs": 25, "warmup_epochs": 3, "cp-vae.blind_epochs": 12, "cp-vae.top": 2, "cp-vae.top_epochs": 0}
LONG = SUMMED | {"epochs": 120, "warmup_epochs": 10, "cp-vae.blind_epochs": 30}
MANY = once(("cp", "mg"), (150, 500)) | once(["vp"], [150])
SAME = "the same, "
TABLES = [
    table("cp-vae-mnist", "two-level priors, CP-VAE Table 1", once(ROWS, [10]) | {("cp", 10): (0, 1, 2)}, SUMMED),
    table(
        "cp-vae-mnist-long",
        SAME + "after 120 epochs, ten of warm-up",
        once(ROWS, [10]) | {("cp", 10): (0, 1, 2), ("vae",): (0, 1, 2)},
        LONG,
        reading=Tight,
    ),
    table("cp-vae-mnist-many", SAME + "with 150 and 500 categories", MANY, drawn(25, 3, 12, 24)),
    table(
        "cp-vae-mnist-many-9", SAME + "after 9 epochs", once(("cp", "mg", "vp", "hvp"), (150, 500)), drawn(9, 2, 4, 8)
    ),
    table("cp-vae-omniglot", SAME + "on Omniglot", once(ROWS, (50, 500)), drawn(10, 2, 4, 9), "omniglot"),
]
