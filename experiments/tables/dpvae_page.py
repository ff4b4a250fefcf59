"""The page and the picture of `table dpvae`, from its results."""

import statistics

from matplotlib.figure import Figure

from experiments import figures, pages

OBJECTIVES = {
    "elbo": "VAE",
    "beta-h": "beta-VAE-H",
    "beta-b": "beta-VAE-B",
    "beta-tc": "beta-TCVAE",
    "factor": "FactorVAE",
    "info": "InfoVAE",
}
PRIORS = {"normal": "N(0, I)", "flow": "flow"}
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


def markdown(config, results, command):
    """Every metric by bound and prior, and what the flow changes; `results` is `{(objective, prior, seed): result}`."""
    first, seeds = next(iter(results.values())), {}
    for objective, _, seed in results:
        seeds.setdefault(objective, set()).add(seed)
    metrics = [name for name in METRICS if name in first["generation"]]
    with_paper = config.train.data == "mnist"
    lines = [
        f"# Regularised VAEs with and without a flow on {config.train.data} (dpVAE Table 1 and Figure 4)",
        "",
        f"Every pair has the same hyperparameters. Mean +- standard error over the seeds, on the test part; "
        f"sKL against the aggregated posterior of the test part, by {config.samples} draws each way; NLL in nats of "
        f"the first {config.nll_pictures} test pictures by {config.nll_samples} importance samples each"
        f"{_scale(config.train)}.{_extractor(first, config)}",
        *(["In brackets the paper's: FID and LP, sKL, NLL in thousands of another likelihood."] if with_paper else []),
        "",
        f"    {command}",
        "",
        f"| bound | prior | seeds | {' | '.join(METRICS[name][0] for name in metrics)} | -ELBO |",
        f"|{'---|' * (len(metrics) + 4)}",
    ]
    for objective in seeds:
        for place, prior in enumerate(PRIORS):
            found = [results[objective, prior, seed] for seed in seeds[objective]]
            cells = [pages.mean([one["generation"][name] for one in found], METRICS[name][1]) for name in metrics]
            if with_paper:
                paper = dict(zip(("frechet", "frechet_low", "skl", "nll"), PAPER[objective][place], strict=True))
                cells = [f"{cell} ({paper[name]})" for cell, name in zip(cells, metrics, strict=True)]
            bound = pages.mean([-one["test"]["elbo"] for one in found])
            cells = [OBJECTIVES[objective], PRIORS[prior], str(len(found)), *cells, bound]
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "What the flow changes, seed by seed (its value minus that of N(0, I)), and in how many seeds it is better:",
        "",
        f"| bound | {' | '.join(METRICS[name][0] for name in metrics)} | leakage |",
        f"|{'---|' * (len(metrics) + 2)}",
    ]
    for objective, own in seeds.items():
        cells = [_change(results, objective, own, _of(name), *METRICS[name][1:]) for name in metrics]
        cells.append(_change(results, objective, own, _leak, 2, -1))
        lines.append(f"| {OBJECTIVES[objective]} | {' | '.join(cells)} |")
    lines += [
        "",
        "Leakage here: LS at the threshold below which a hundredth of the prior's own draws lie. The curves:",
        "",
        f"![Leakage]({config.title}.png)",
        "",
        pages.measured([one["provenance"] for one in results.values()], f"{config.title}/"),
        "",
    ]
    return "\n".join(lines)


def _scale(train):
    if train.likelihood != "squared-error":
        return ""
    return f" (of a squared error of weight {train.error_weight:g}, without a Gaussian's constant)"


def _extractor(result, config):
    judge = result["beside"]["judge"]
    if judge is None:
        return ""
    right = "" if judge["accuracy"] is None else f", {100 * judge['accuracy']:.2f} % right on the test part"
    return (
        f" Frechet distance between the features of {config.samples} draws (and of the {config.lowest} of as many with "
        f"the least q(z)) and of the test pictures, all as they are: features of a convolutional classifier (weights "
        f"{judge['weights'][:12]}{right}), so comparable here only."
    )


def _of(name):
    return lambda generation: generation[name]


def _leak(generation):
    """The leakage score at the threshold that a hundredth of the prior's own draws fall below."""
    leakage = generation["leakage"]
    return leakage["share_scores"][leakage["shares"].index(0.01)]


def _change(results, objective, seeds, read, digits, better):
    """What the flow changes: mean and standard error, and how often that is for the better."""
    changes = [
        read(results[objective, "flow", seed]["generation"]) - read(results[objective, "normal", seed]["generation"])
        for seed in seeds
    ]
    return f"{pages.mean(changes, digits)}, {sum(better * change > 0 for change in changes)} of {len(seeds)}"


def leakage(path, results):
    """Leakage scores over thresholds of log p(z) above, over the prior's own quantiles below; means over the seeds."""
    objectives = list(dict.fromkeys(objective for objective, _, _ in results))
    figure = Figure(figsize=(2.6 * len(objectives), 5), layout="constrained")
    axes = figure.subplots(2, len(objectives), squeeze=False, sharey="row")
    for column, objective in enumerate(objectives):
        for prior, color in zip(PRIORS, ("tab:gray", "tab:blue"), strict=True):
            found = [r["generation"]["leakage"] for (o, p, _), r in results.items() if (o, p) == (objective, prior)]
            curves = (("thresholds", "scores"), ("shares", "share_scores"))
            for axis, (x, y) in zip(axes[:, column], curves, strict=True):
                values = [statistics.mean(scores) for scores in zip(*(one[y] for one in found), strict=True)]
                axis.plot(found[0][x], values, color=color, marker=".", label=PRIORS[prior])
        axes[0, column].set(title=OBJECTIVES[objective], xlabel=r"$\tau$, nats")
        axes[1, column].set(xlabel="share of the prior below", xscale="log")
    for axis in axes[:, 0]:
        axis.set_ylabel("leakage score, nats")
    axes[0, 0].legend()
    figures.save(figure, path)
