"""The page of `figure estimators`, made of its JSON: variance, cost and their product by prior, estimator and size."""

from matplotlib.figure import Figure

from experiments import pages
from experiments.answers import sentence
from experiments.heads import headed
from experiments.papers import gan_estimators
from models.shared.figures import save

ESTIMATORS = {
    "pathwise": "pathwise",
    "measure": "measure-valued",
    "rloo": "score function, leave-one-out",
    "reinforce": "score function, batch mean",
    "none": "score function, no baseline",
}
INTRODUCTION = (
    "The cost is |z - t|^2 / d, whose expected gradient to all parameters of the prior is known in closed form. The "
    "prior is as initialised, {start}. Variance: that of one gradient (one batch), as a share of the squared length of "
    "the true one, over {draws} gradients ({measure_draws} measure-valued ones); in brackets how many times that of "
    "pathwise. The mark ~: over the first half of the gradients it is more than twice, or less than half, that of the "
    "second, so that the tail is heavy and the figure no more than an order of magnitude. Bias: the length of the mean "
    "less the true one, as a share of the length of that; < where it drowns in noise. A batch mean that contains the "
    "example takes 1/n away. Milliseconds of one gradient: the least of {turns}, all estimators in turns, {threads} "
    "thread(s), on a machine that may have had other work, so that they compare with each other alone; in brackets "
    "variance times milliseconds, what a gradient of variance one costs. Seed {seed}."
)
STARTS = {
    "noise": "Gaussians of standard deviation 1/N about means in [-1, 1], so that they hardly overlap (`init=noise`)",
    "mixture": "Gaussians of standard deviation 0.82 about means in [-1, 1], which overlap (`init=mixture`)",
}
MEASURE = (
    "Measure-valued gradients (Mohamed, Rosca, Figurnov, Mnih 2020, section 6) ask for costs alone, as score functions "
    "do: of a mean Rayleigh's law on either side, of a scale the double-sided Maxwell law less the normal one, of a "
    "choice of states every other choice, with the same random numbers for all that follows. The draw is asked for its "
    "cost once by all others; by this one an example's is asked for as often as below. The cost of this page takes no "
    "time, and is a sum over latents, of which all but the changed ones cancel; of a GAN each is an evaluation of "
    "generator and critic."
)


ANSWERED = ("pathwise", "measure", "rloo")


def answer(values):
    """Variance with fewest and most latents, milliseconds with most, of three estimators; then GANs of kept results."""
    batch, said = min(row["batch"] for row in values["rows"]), []
    for prior, title in values["priors"].items():
        rows = [row for row in values["rows"] if (row["prior"], row["batch"]) == (prior, batch)]
        sizes, words = sorted({row["latents"] for row in rows}), []
        for name in ANSWERED if rows else ():
            own = {row["latents"]: row for row in rows if row["estimator"] == name}
            few, many = own[sizes[0]], own[sizes[-1]]
            words.append(f"{_said(few)} to {_said(many)} ({many['milliseconds']:.0f} ms)")
        if words:
            called = title.partition(":")[0]
            said.append(f"{called[0].lower()}{called[1:]}, {sizes[0]}-{sizes[-1]} latents, {', '.join(words)}")
    names = ", ".join(ESTIMATORS[name].removeprefix("score function, ") for name in ANSWERED)
    gans = gan_estimators.said(gan_estimators.groups()) if values["init"] == "noise" else ""
    return sentence(f"relative variance (and cost) by {names}: {said[0]}", *said[1:], gans)


def _said(row):
    variance = row["variance"]
    return f"{variance:.2g}{heavy(row)}" if variance < 100 else f"{variance:,.0f}{heavy(row)}"


def heavy(row):
    """The mark of a variance that its halves do not agree on."""
    return " ~" if max(row["halves"]) > 2 * min(row["halves"]) else ""


@headed(
    "What do variance and cost of a sampled prior's gradients come to with more latents, by estimator, for lattices "
    "and for vectors?",
    answer,
    "A prior after training; a cost that is no sum over latents, or one that takes long, as a critic's of generated "
    "images does; measure-valued gradients of choices drawn at random instead of all choices.",
)
def page(values, name):
    """Variance, bias, milliseconds and their product, tables for each prior and batch size, by latent size."""
    parts = [
        "# Gradients of a prior that is sampled, by estimator",
        INTRODUCTION.format(start=STARTS[values["init"]], **values),
        MEASURE,
    ]
    for prior, title in values["priors"].items():
        parts.append(f"## {title}")
        rows = [row for row in values["rows"] if row["prior"] == prior]
        asked = {row["latents"]: row["evaluations"] for row in rows if row["estimator"] == "measure"}
        for batch in dict.fromkeys(row["batch"] for row in rows):
            by = {(row["estimator"], row["latents"]): row for row in rows if row["batch"] == batch}
            parts += [f"Batches of {batch}, variance:", pages.table(_columns(by, asked, _variance), ESTIMATORS)]
            parts += [f"Batches of {batch}, milliseconds:", pages.table(_columns(by, asked, _cost), ESTIMATORS)]
        texts = ", ".join(f"{count:,} with {d} latents" for d, count in asked.items())
        parts += [f"Costs of an example asked for by a measure-valued gradient: {texts}." if texts else ""]
    parts.append(f"![Variance and its cost by latent size]({name}.png)")
    return [*parts, *(gan_estimators.section(gan_estimators.groups()) if values["init"] == "noise" else [])]


def _columns(by, sizes, cell):
    """The estimator, and one column a latent size."""
    columns = {"estimator": ESTIMATORS.get}
    for d in sizes:
        columns[f"d = {d}"] = lambda name, d=d: cell(by[name, d], by["pathwise", d])
    return columns


def _variance(row, base):
    times = "" if row is base else f" ({row['variance'] / base['variance']:.3g} x)"
    drowned = row["bias"] <= 2 * row["bias_noise"]
    bias = f"{'< ' if drowned else ''}{max(row['bias'], 2 * row['bias_noise']):.2g}"
    return f"{row['variance']:.3g}{heavy(row)}{times}, bias {bias}"


def _cost(row, base):
    return f"{row['milliseconds']:.3g} ({row['milliseconds'] * row['variance']:.3g})"


def draw_results(path, values):
    """Relative variance above, times milliseconds below, against latent size; a panel for each prior, least batch."""
    priors, batch = values["priors"], min(row["batch"] for row in values["rows"])
    figure = Figure(figsize=(3.6 * len(priors) + 0.6, 6.2), layout="constrained")
    axes = figure.subplots(2, len(priors), sharex=True, sharey="row", squeeze=False)
    for column, (prior, title) in enumerate(priors.items()):
        for name, called in ESTIMATORS.items():
            wanted = (prior, batch, name)
            rows = [row for row in values["rows"] if (row["prior"], row["batch"], row["estimator"]) == wanted]
            sizes, variance = [row["latents"] for row in rows], [row["variance"] for row in rows]
            spent = [row["variance"] * row["milliseconds"] for row in rows]
            axes[0, column].loglog(sizes, variance, marker="o", markersize=3, label=called)
            axes[1, column].loglog(sizes, spent, marker="o", markersize=3, label=called)
        axes[0, column].set_title(title.partition(":")[0])
        axes[1, column].set_xlabel("latents d")
    axes[0, 0].set_ylabel("variance / squared gradient")
    axes[1, 0].set_ylabel("the same times milliseconds")
    axes[0, 0].legend(fontsize=7, title=f"batches of {batch}", title_fontsize=7)
    save(figure, path)
