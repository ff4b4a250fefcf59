"""`table ttlp-mnist` and others: conditional generation and imputation with hidden labels, TTLP Tables 1 and 2."""

import itertools
import statistics

from experiments import pages
from experiments.answers import Measure, entries, sentence
from experiments.heads import Head
from experiments.tables.judged import Judges
from experiments.tables.reading import Evaluated, Summary
from experiments.tables.spec import Cell, Table

VECTOR = {
    "cores": "factored",
    "order": "data",
    "local": None,
    "rank": 200,
    "decay": True,
    "prior_lr": 1e-2,
    "boundary": "train",
}
VECTOR |= {"reinit_every": None, "reinit_samples": 50_000}
# Vectors among the attributes, which are spread: each has latents beside it.
VECTORS = VECTOR | {"rank": 64, "local": 8, "block_size": 2, "order": "spread", "decay": False}
# Row -> title, model, what makes it another, whether it starts from a VAE trained without labels.
ROWS = {
    "joint": ("VAE-TTLP", "joint-vae", {}, False),
    "vector": ("VAE-TTLP, latents one vector of full covariance", "joint-vae", VECTOR, False),
    "weighted": ("VAE-TTLP, {:g} log p(y given z) added to the bound", "joint-vae", {}, False),
    "weighted-vector": ("VAE-TTLP, one vector, {:g} log p(y given z) added", "joint-vae", VECTOR, False),
    "vectors": ("VAE-TTLP, latents in vectors of two", "joint-vae", VECTORS, False),
    "weighted-vectors": ("VAE-TTLP, vectors of two, {:g} log p(y given z) added", "joint-vae", VECTORS, False),
    "pretrained": ("VAE-TTLP, networks of a VAE trained without labels, all tuned", "joint-vae", {}, True),
    "frozen": (
        *("VAE-TTLP, networks of a VAE trained without labels, prior alone", "joint-vae"),
        *({"frozen": True}, True),
    ),
    "cvae": ("CVAE, labels predicted", "cvae", {}, False),
    "m2": ("M2, labels predicted and summed out", "m2", {}, False),
    "classifier": ("classifier trained on the same labels", "classifier", {}, False),
}
# What a sentence calls them.
SHORT = {
    "joint": "VAE-TTLP",
    "vector": "one vector",
    "weighted": "VAE-TTLP with log p(y given z)",
    "weighted-vector": "one vector with log p(y given z)",
    "vectors": "vectors of two",
    "weighted-vectors": "vectors of two with log p(y given z)",
    "pretrained": "networks of a VAE, tuned",
    "frozen": "networks of a VAE, left alone",
    "cvae": "CVAE",
    "m2": "M2",
    "classifier": "classifier",
}
# (data, row) -> condition accuracy and imputation accuracy of the paper by share of missing labels, in percent.
PAPER = {
    ("mnist", "joint"): ({0.0: "89.94", 0.3: "89.84", 0.7: "88.97"}, {0.0: "95.4"}),
    ("mnist", "pretrained"): ({0.0: "75.39"}, {}),
    ("mnist", "frozen"): ({0.0: "75.39"}, {}),
    ("mnist", "cvae"): ({0.0: "86.34"}, {}),
    ("folder", "joint"): ({0.0: "88.7", 0.3: "84.89", 0.7: "87.08"}, {0.0: "89.21"}),
    ("folder", "pretrained"): ({0.0: "87.5"}, {}),
    ("folder", "frozen"): ({0.0: "87.5"}, {}),
    ("folder", "cvae"): ({0.0: "82.89"}, {}),
}
SHARES = (0.0, 0.3, 0.7)  # of the labels, hidden
MANY = (*SHARES, 0.95, 0.99)
INTRODUCTION = (
    "Test set. Condition accuracy: share of generated images, one for the labels of each test image, in which a "
    "classifier trained with all labels finds what was asked for{several}. Frechet distance: of that classifier's "
    "features, comparable where the judge is the same. Imputation: the attributes of test images, from the image "
    "alone; ECE with 15 bins."
)


def page(table, rows):
    """The comparison, and where there are several attributes the accuracy of imputation of each."""
    judges = Judges(rows)
    several = any(len(result["test"]["imputation"]) > 1 for row in rows for result in row.results)
    parts = [
        f"# Conditional generation and imputation on {table.data} (TTLP Tables 1 and 2)",
        INTRODUCTION.format(several=", mean over attributes" if several else ""),
        judges.lines(),
        pages.table(
            {
                ("model", "labels hidden"): lambda row: row.cell.titles,
                "seeds": lambda row: str(len(row.results)),
                "condition accuracy, %": lambda row: conditions(row, lambda part: 100 * part["mean_accuracy"], 2),
                "paper": lambda row: row.cell.paper[0],
                "Frechet distance": lambda row: conditions(row, lambda part: part["frechet"], 1),
                "imputation accuracy, %": lambda row: imputation(row, "accuracy", 100, 2),
                ("paper",): lambda row: row.cell.paper[1:],
                "log-loss": lambda row: imputation(row, "log_loss", 1, 3),
                "ECE": lambda row: imputation(row, "ece", 1, 4),
                **judges.columns,
            },
            rows,
        ),
    ]
    return [*parts, *(by_attribute(rows) if several else [])]


def conditions(row, read, digits):
    """A number about images generated given labels."""
    tests = [result["test"] for result in row.results]
    return pages.mean([read(test["conditions"]) for test in tests if "conditions" in test], digits)


def imputation(row, what, factor, digits):
    """The mean over discrete attributes whose truth is known, then over seeds."""
    tests = [result["test"]["imputation"].values() for result in row.results]
    values = [[part[what] for part in test if part.get(what) is not None] for test in tests]
    return pages.mean([factor * statistics.mean(part) if part else None for part in values], digits)


def by_attribute(rows):
    """Accuracy of imputation and ECE of every discrete attribute, one column a run of the first seed."""
    first = min(seed for row in rows for seed in row.by_seed)
    runs = {
        f"{row.cell.key[0]}, {row.cell.titles[1]}": row.by_seed[first]["test"]["imputation"]
        for row in rows
        if first in row.by_seed
    }
    some = next(iter(runs.values()))
    names = [name for name, part in some.items() if part.get("accuracy") is not None]

    def numbers(name):
        return [f"{100 * run[name]['accuracy']:.2f} ({run[name]['ece']:.3f})" for run in runs.values()]

    columns = {
        "attribute": str,
        "majority": lambda name: f"{100 * some[name]['majority']:.2f}",
        tuple(runs): numbers,
    }
    means = [100 * statistics.mean(run[name]["accuracy"] for name in names) for run in runs.values()]
    majority = 100 * statistics.mean(some[name]["majority"] for name in names)
    last = f"| mean | {majority:.2f} | {' | '.join(f'{mean:.2f}' for mean in means)} |"
    return [
        f"Imputation accuracy in percent (and ECE) by attribute, seed {first}; majority: the answer that is most "
        "frequent in the test set.",
        [*pages.table(columns, names), last],
    ]


SHOWN = Measure(
    "condition accuracy",
    lambda result: 100 * test["mean_accuracy"] if (test := result["test"].get("conditions")) else None,
    unit=" %",
    higher=True,
)
IMPUTED = Measure("accuracy of imputation", lambda result: 100 * imputed(result), unit=" %", higher=True)


def imputed(result):
    """Mean accuracy of imputation over discrete attributes."""
    parts = result["test"]["imputation"].values()
    return statistics.mean(part["accuracy"] for part in parts if part.get("accuracy") is not None)


def answer(rows):
    """Who shows best what was wanted, by the judges of most rows and runs, and who imputes best, at two shares."""
    shares = sorted(dict.fromkeys(row.cell.titles[1] for row in rows), key=lambda share: float(share.strip("%")))
    judges, said = Judges(rows), []
    for share in dict.fromkeys((shares[0], shares[-1])):
        own = [row for row in rows if row.cell.titles[1] == share]
        drawing = [row for row in own if row.cell.key[0] != "classifier"]
        groups = {}
        for row in drawing:
            groups.setdefault(", ".join(judges.letters_of(row)), []).append(row)

        def judged(group):
            return len(group[1]), sum(len(row.results) for row in group[1])

        letters, shown = max(groups.items(), key=judged, default=("", []))
        rival = [f"the classifier {IMPUTED.text(IMPUTED.of(row))}" for row in own if row not in drawing]
        best = {
            "condition accuracy": leading(SHOWN, shown, f"judge {letters}" * judges.mixed),
            "by other judges": elsewhere(groups, shown),
            "imputation": leading(IMPUTED, drawing, *rival),
        }
        words = ", ".join(f"{name} {text}" for name, text in best.items() if text)
        said += [f"with {share} hidden {words}"] if words else []
    few = any(len(row.results) == 1 for row in rows)
    return sentence(f"the best are, {said[0]}", *said[1:], "no +-: one seed" if few else "") if said else ""


def elsewhere(groups, shown):
    """The highest condition accuracy of rows that other judges saw, where it is above that of all `shown`; else ""."""
    highest = {
        letters: max((entry.mean for entry in entries(SHOWN, rows)), default=0.0) for letters, rows in groups.items()
    }
    other = max(highest, key=highest.__getitem__, default="")
    return (
        ""
        if not highest or groups[other] is shown
        else leading(SHOWN, groups[other], f"judge{'s' * (',' in other)} {other}")
    )


def leading(measure, rows, *beside):
    """The best figure of some rows, in brackets which row has it, and what is said beside; "" where none has any."""
    ranked = sorted(entries(measure, rows, lambda row: SHORT[row.cell.key[0]]), key=lambda entry: -entry.mean)
    words = "; ".join(filter(None, (ranked[0].title, *beside))) if ranked else ""
    return f"{measure.text(ranked[0])} ({words})" if ranked else ""


HEAD = Head(
    "How well does one law of latents and labels draw images that have the labels asked for, and impute labels, when "
    "many are hidden from its training?",
    answer,
    "Three seeds and one judge for every row; equal epochs; rivals that learn from images without labels (M2).",
)


def table(name, line, made, weight, shared, vector=VECTOR, judge_seed=None, *, shares=SHARES, without=()):
    """A page; `made` are the seeds of results in the checkout, by row and share of hidden labels.

    All seeds have one judge, trained with `judge_seed`; without, each has its own. Rows `without` are none of it.
    """
    data = shared.get("data", "mnist")
    judge = (
        "classifier-missing0",
        "classifier",
        {"missing": 0.0} | ({} if judge_seed is None else {"seed": judge_seed}),
    )
    start = ("unlabelled", "vae", {"prior": "normal"})
    cells = []
    for row, missing in itertools.product([row for row in ROWS if row not in without], shares):
        title, model, values, started = ROWS[row]
        values = {**(vector if values is VECTOR else values), "missing": missing}
        values |= {"label_weight": weight} if row.startswith("weighted") else {}
        needs = {} if row == "classifier" else {"judge": judge, **({"start": start} if started else {})}
        paper = [part.get(missing, "") for part in PAPER.get((data, row), ({}, {}))]
        seeds = made.get(row, {}).get(missing, ())
        reading = Summary if row == "classifier" else Evaluated
        key, titles = (row, f"missing{missing:g}"), (title.format(weight), f"{missing:.0%}")
        cells.append(Cell(key, model, values, seeds, titles, paper, reading, needs))
    return Table(name, line, page, cells, COMMON | shared, head=HEAD)


# The classifier has knobs of its own.
PAPER_FORM = {"joint-vae.cores": "full", "joint-vae.order": "random", "joint-vae.local": 1}
COMMON = PAPER_FORM | {"binarize": "none", "network": "conv", "boundary": "train", "likelihood": "squared-error"}
COMMON |= {"lr": 2e-3, "particles": 10}
COMMON |= {"classifier.lr": 1e-3, "classifier.decay": True, "reinit_samples": 16_000}
MNIST = {"epochs": 12, "latent_dim": 16, "likelihood": "bernoulli", "prior_epochs": 4, "rank": 48}
MNIST |= {"classifier.epochs": 6, "cvae.epochs": 8, "pretrained.epochs": 6, "m2.particles": 1}  # M2 sums over labels
TEN = ("male", "young", "smiling", "eyeglasses", "wearing_hat", "blond_hair", "black_hair")
FACES = {"data": "folder", "channels": 24, "epochs": 10, "reinit_every": None, "rank": 30, "joint-vae.local": 3}
FACES |= {"classifier.epochs": 5, "attributes": (*TEN, "bangs", "mustache_or_beard=mustache|!no_beard", "attractive")}
FACES_VECTOR = VECTOR | {"rank": 128, "local": 2, "block_size": 32}
RING = (*TEN, "brown_hair", "gray_hair", "bangs", "mustache", "beard=!no_beard", "bald", "attractive")
ALL, NONE = dict.fromkeys(SHARES, (0,)), {0.0: (0,)}
SUMMED = ("m2",)  # over all configurations of the labels that an image lacks: 1,024 of ten attributes
SAME = "the same, "
TABLES = [
    table(
        "ttlp-mnist",
        "conditional generation and imputation, TTLP Tables 1 and 2",
        dict.fromkeys(("weighted", "pretrained", "cvae"), ALL)
        | dict.fromkeys(("frozen", "classifier"), NONE)
        | dict.fromkeys(("joint", "vector"), dict.fromkeys(SHARES, (0, 1, 2))),
        50.0,
        MNIST,
        shares=MANY,
    ),
    table(
        "ttlp-faces",
        SAME + "of ten attributes of a folder of faces",
        {
            "joint": NONE,
            "vector": NONE,
            "weighted": ALL | {0.0: (0, 1, 2)},
            "weighted-vector": NONE,
            "weighted-vectors": ALL | {0.0: (0, 1, 2)},
            "classifier": NONE,
        },
        100.0,
        FACES,
        FACES_VECTOR,
        judge_seed=0,
        without=SUMMED,
    ),
    table(
        "ttlp-faces-ring",
        SAME + "of fourteen on a ring",
        {"weighted": NONE, "classifier": NONE},
        100.0,
        FACES | {"attributes": RING, "boundary": "ring"},
        without=SUMMED,
    ),
]
