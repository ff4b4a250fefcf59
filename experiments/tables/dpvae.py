"""`table dpvae-mnist` and others: regularised VAEs with and without a flow, dpVAE Table 1 and Figure 4."""

import itertools
import statistics

from matplotlib.figure import Figure

from experiments import pages
from experiments.answers import Entry, counted, sentence
from experiments.heads import Head
from experiments.tables.judged import Judges
from experiments.tables.reading import Generation
from experiments.tables.spec import Cell, Table
from models.shared import figures

OBJECTIVES = {
    "elbo": "VAE",
    "beta-h": "beta-VAE-H",
    "beta-b": "beta-VAE-B",
    "beta-tc": "beta-TCVAE",
    "factor": "FactorVAE",
    "info": "InfoVAE",
}
PRIORS = {"normal": "N(0, I)", "flow": "flow"}
RIVALS = {"trip": "TRIP of one vector, 50 states"}  # of the flow
# Metric -> title, digits, the sign of what is better.
METRICS = {
    "frechet": ("Frechet distance", 1, -1),
    "frechet_low": ("of low-posterior samples", 1, -1),
    "skl": ("sKL", 2, -1),
    "nll": ("NLL", 1, -1),
    "mig": ("MIG", 3, 1),
}
# dpVAE Table 1 on MNIST: FID, LP, sKL and NLL (in thousands), N(0, I) and flow.
PAPER = {
    "elbo": (("137.4", "165.0", "1.26", "3.56"), ("129.0", "153.1", "0.88", "3.53")),
    "beta-h": (("144.2", "163.1", "4.49", "4.12"), ("127.1", "127.4", "1.07", "2.98")),
    "beta-b": (("130.8", "163.6", "2.74", "3.11"), ("113.3", "114.1", "1.32", "2.80")),
    "beta-tc": (("149.8", "200.3", "4.48", "2.91"), ("133.3", "133.1", "2.07", "2.70")),
    "factor": (("130.5", "191.2", "1.04", "3.50"), ("120.8", "121.3", "0.85", "3.60")),
    "info": (("128.7", "133.2", "2.89", "2.88"), ("110.1", "110.5", "1.70", "2.81")),
}
SHARED = {
    "binarize": "none",
    "likelihood": "squared-error",
    "error_weight": 10.0,
    "latent_dim": 2,
    "hidden": (200, 200),
}
SHARED |= {"discriminator_hidden": (200,) * 5, "epochs": 5, "batch_size": 200, "lr": 2e-3, "prior_lr": 1e-3}
SHARED |= {"decay": True, "particles": 10}
COUNTS = {"samples": 5000, "lowest": 1000, "nll_samples": 21_000, "nll_pictures": 50}
FEW = {"nll_samples": 1000, "nll_pictures": 20}
INTRODUCTION = (
    "Every pair has the same hyperparameters. Mean +- standard error over the seeds, on the test part; sKL against the "
    "aggregated posterior of the test part, by {samples} draws each way; NLL in nats of the first {nll_pictures} test "
    "images by {nll_samples} importance samples each"
)
JUDGED = (
    " Frechet distance between the features of {samples} draws (and of the {lowest} of as many with the least q(z)) "
    "and of the test images, all as they are: features of a convolutional classifier (weights {weights:.12}{right}), "
    "so comparable here only."
)
IN_BRACKETS = "\nIn brackets the paper's: FID and LP, sKL, NLL in thousands of another likelihood."
CHANGES = "What the flow changes, seed by seed (its value minus that of N(0, I)), and in how many seeds it is better:"
LEAKAGE = "Leakage here: LS at the threshold below which a hundredth of the prior's own draws lie. The curves:"


def page(table, rows):
    """Every metric by bound and prior, and what the flow changes, of seeds that have both."""
    if not (pairs := paired(rows)):
        return []
    rows = [row for pair in pairs for row in (*pair, *rivals(pair, rows))]
    first = rows[0].results[0]
    metrics = [metric for metric in METRICS if metric in first["generation"]]
    titles = [METRICS[metric][0] for metric in metrics]
    introduction, judge = INTRODUCTION.format(**table.counts), first["beside"]["judge"]
    if table.shared["likelihood"] == "squared-error":
        weight = table.shared["error_weight"]
        introduction += f" (of a squared error of weight {weight:g}, without a Gaussian's constant)"
    introduction += "."
    if judge:
        right = "" if judge["accuracy"] is None else f", {100 * judge['accuracy']:.2f} % right on the test part"
        introduction += JUDGED.format(**table.counts, weights=judge["weights"], right=right)
    if table.data == "mnist":
        introduction += IN_BRACKETS
    return [
        f"# Regularised VAEs with and without a flow on {table.data} (dpVAE Table 1 and Figure 4)",
        introduction,
        pages.table(
            {
                ("bound", "prior"): lambda row: row.cell.titles,
                "seeds": lambda row: str(len(row.results)),
                tuple(titles): lambda row: [number(row, metric, table.data == "mnist") for metric in metrics],
                "-ELBO": lambda row: row.mean(lambda result: -result["test"]["elbo"]),
                **Judges(rows).columns,
            },
            rows,
        ),
        CHANGES,
        pages.table(
            {
                "bound": lambda pair: pair[0].cell.titles[:1],
                (*titles, "leakage"): lambda pair: [
                    *(change(pair, lambda drawn, m=m: drawn[m], *METRICS[m][1:]) for m in metrics),
                    change(pair, leak, 2, -1),
                ],
            },
            pairs,
        ),
        LEAKAGE,
        f"![Leakage]({table.name}.png)",
    ]


def paired(rows):
    """The rows of either prior by bound, with the seeds that both have."""
    by_key, pairs = {row.cell.key: row for row in rows}, []
    for objective in OBJECTIVES:
        pair = [by_key.get((objective, prior)) for prior in PRIORS]
        if None not in pair and (seeds := set(pair[0].by_seed) & set(pair[1].by_seed)):
            pairs.append([row._replace(by_seed={s: row.by_seed[s] for s in sorted(seeds)}) for row in pair])
    return pairs


def rivals(pair, rows):
    """Rows of other priors under the bound of a pair, of its seeds, where they have all of them."""
    (bound, _), seeds = pair[0].cell.key, set(pair[0].by_seed)
    own = [row for row in rows if row.cell.key[0] == bound and row.cell.key[1] in RIVALS]
    return [
        row._replace(by_seed={s: row.by_seed[s] for s in sorted(seeds)}) for row in own if seeds <= set(row.by_seed)
    ]


def number(row, metric, with_paper):
    """A metric, and in brackets the paper's, where it has such a row."""
    mean = row.mean(lambda result: result["generation"][metric], METRICS[metric][1])
    return f"{mean} ({row.cell.paper[metric]})" if with_paper and row.cell.paper else mean


def leak(drawn):
    """The leakage score at the threshold that a hundredth of the prior's own draws fall below."""
    leakage = drawn["leakage"]
    return leakage["share_scores"][leakage["shares"].index(0.01)]


def change(pair, read, digits, better):
    """What the flow changes: mean and standard error, and how often that is for the better."""
    changes = changes_of(pair, read)
    return f"{pages.mean(changes, digits)}, {sum(better * change > 0 for change in changes)} of {len(changes)}"


def changes_of(pair, read):
    """What the flow changes, by seed."""
    both = zip(*(row.results for row in pair), strict=True)
    return [read(flow["generation"]) - read(normal["generation"]) for normal, flow in both]


def leakage(path, rows):
    """Leakage scores over thresholds of log p(z) above, over the prior's own quantiles below; means over the seeds."""
    pairs = paired(rows)
    figure = Figure(figsize=(2.6 * len(pairs), 5), layout="constrained")
    axes = figure.subplots(2, len(pairs), squeeze=False, sharey="row")
    for column, pair in enumerate(pairs):
        for row, color in zip(pair, ("tab:gray", "tab:blue"), strict=True):
            curves = [result["generation"]["leakage"] for result in row.results]
            for axis, (x, y) in zip(
                axes[:, column], (("thresholds", "scores"), ("shares", "share_scores")), strict=True
            ):
                values = [statistics.mean(scores) for scores in zip(*(curve[y] for curve in curves), strict=True)]
                axis.plot(curves[0][x], values, color=color, marker=".", label=row.cell.titles[1])
        axes[0, column].set(title=pair[0].cell.titles[0], xlabel=r"$\tau$, nats")
        axes[1, column].set(xlabel="share of the prior below", xscale="log")
    for axis in axes[:, 0]:
        axis.set_ylabel("leakage score, nats")
    axes[0, 0].legend()
    figures.save(figure, path)


def answer(rows):
    """Under how many bounds the flow betters each metric, of several seeds by more than the standard error."""
    pairs = paired(rows)
    said, seeds = [], {len(row.results) for pair in pairs for row in pair}
    for metric in [metric for metric in METRICS if pairs and metric in pairs[0][0].results[0]["generation"]]:
        title, _, better = METRICS[metric]
        wins = [pair[0].cell.titles[0] for pair in pairs if bettered(pair, metric, better)]
        under = f" ({', '.join(wins)})" if 0 < len(wins) < len(pairs) else ""
        said.append(f"{title.removeprefix('of ')} under {len(wins)}{under}")
    *others, most = sorted(seeds)
    each = " or ".join((*map(str, others), counted(most, "seed")))
    several = "by more than the standard error of the change" + ("; of one seed, at all" if 1 in seeds else "")
    each += f": {several}" if most > 1 else ""
    if not said:
        return ""
    return sentence(
        f"of {counted(len(pairs), 'bound')} the flow betters {', '.join(said)} ({each})", *beaten(pairs, rows)
    )


def beaten(pairs, rows):
    """Under how many bounds each rival of the flow is better than it by two metrics, by the means over the seeds."""

    def less(flow, own, metric):
        values = [[result["generation"][metric] for result in row.results] for row in (own, flow)]
        return statistics.mean(values[0]) < statistics.mean(values[1])

    said = []
    for prior, title in RIVALS.items():
        both = [(pair[1], row) for pair in pairs for row in rivals(pair, rows) if row.cell.key[1] == prior]
        if both and all("frechet" in row.results[0]["generation"] for row in both[0]):
            frechet, skl = (sum(less(*pair, metric) for pair in both) for metric in ("frechet", "skl"))
            said.append(f"{title} has a lower Frechet distance than it under {frechet}, a lower sKL under {skl}")
    return said


def bettered(pair, metric, better):
    """Whether the mean change over seeds is for the better, and of several seeds more than its standard error."""
    changes = Entry("", [better * change for change in changes_of(pair, lambda drawn: drawn[metric])])
    return changes.mean > (changes.error or 0.0)


HEAD = Head(
    "Does a flow as the prior better the draws, the fit to the codes and the likelihood of a regularised VAE, at "
    "otherwise equal settings?",
    answer,
    "Other strengths of the regularisers; more latents; longer training; a prior that is neither N(0, I) nor a flow.",
)


QUESTIONS = {
    "dpvae-mnist-vector": "Does one vector of Gaussians as the prior do what a flow does for a regularised VAE?",
    "dpvae-mnist-imq": "Does InfoVAE gain from a flow where its kernel is an inverse multiquadric?",
    "dpvae-mnist-refitted": "Does a flow gain where priors are fitted to the codes again after the training?",
    "dpvae-mnist-capacity-5": "Does beta-VAE-B gain from a flow at a capacity of 5 nats and not 25?",
    "dpvae-mnist-strength-10": "Do FactorVAE and InfoVAE gain from a flow at a strength of 10 and not 1,000?",
    "dpvae-shapes": "Does a flow better a regularised VAE on rendered shapes, also by its mutual information gap?",
    "dpvae-faces": "Does a flow better a VAE and a FactorVAE on faces?",
}


def table(name, line, seeds, counts=None, compared=False, **shared):
    """A page; `seeds` are those of results in the checkout by bound, of rivals of the flow too if it is `compared`."""
    cells = [
        Cell(
            *((objective, prior), "vae", {"objective": objective, "prior": prior}, seeds.get(objective, ())),
            titles=(OBJECTIVES[objective], PRIORS[prior]),
            paper=dict(zip(METRICS, PAPER[objective][place], strict=False)),
            reading=Generation,
        )
        for objective, (place, prior) in itertools.product(OBJECTIVES, enumerate(PRIORS))
    ]
    counts, shared = COUNTS | (counts or {}), SHARED | shared
    if compared:
        shared |= {"trip.block_size": shared["latent_dim"], "trip.rank": 50, "trip.reinit_samples": 20_000}
        cells += [
            Cell(
                *((objective, prior), "vae", {"objective": objective, "prior": prior}, seeds.get(objective, ())),
                titles=(OBJECTIVES[objective], RIVALS[prior]),
                reading=Generation,
            )
            for objective, prior in itertools.product(OBJECTIVES, RIVALS)
        ]
    return Table(
        name,
        line,
        page,
        cells,
        shared,
        counts,
        figure=leakage,
        head=HEAD._replace(question=QUESTIONS.get(name, HEAD.question)),
    )


def once(*objectives):
    """One seed of these."""
    return dict.fromkeys(objectives, (0,))


THREE, SAME = dict.fromkeys(OBJECTIVES, (0, 1, 2)), "the same, "
TABLES = [
    table("dpvae-mnist", "regularised VAEs with and without a flow, dpVAE Table 1", THREE),
    table(
        *("dpvae-mnist-vector", SAME + "and a prior of one vector"),
        dict.fromkeys(("elbo", "beta-h", "beta-tc"), (0, 1, 2)),
        compared=True,
    ),
    table("dpvae-mnist-imq", SAME + "InfoVAE with another kernel", once("info"), kernel="imq"),
    table("dpvae-mnist-refitted", SAME + "priors fitted again", once("beta-h", "beta-b", "info"), prior_epochs=5),
    table("dpvae-mnist-capacity-5", SAME + "beta-VAE-B with 5 nats", once("beta-b"), capacity=5.0),
    table("dpvae-mnist-strength-10", SAME + "weaker regularisers", once("factor", "info"), strength=10.0),
    table("dpvae-shapes", SAME + "on shapes", THREE | once("factor"), FEW, data="shapes", epochs=20, latent_dim=6),
    table(
        *("dpvae-faces", SAME + "on a folder of faces", once("elbo", "factor"), FEW),
        data="folder",
        image_size=32,
        epochs=2,
        latent_dim=32,
    ),
]
