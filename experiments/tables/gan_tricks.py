"""`table gan-tricks`: each trick and each kind of adversarial model once, with a number that shows what it is for."""

from experiments import pages
from experiments.answers import Measure, best, entries, sentence
from experiments.heads import Head
from experiments.tables.judged import Judges
from experiments.tables.reading import Likeness
from experiments.tables.spec import Cell, Table

# Row -> title, what it changes in a GAN on the grid.
TRICKS = {
    "plain": ("none", {}),
    "minimax": ("minimax instead of the non-saturating loss", {"minimax": True}),
    "matching": ("feature matching", {"matching": True}),
    "minibatch": ("minibatch discrimination, 8 kernels", {"minibatch": 8}),
    "noise": ("instance noise 0.5, falling to 0", {"noise": 0.5, "noise_epochs": 8}),
    "smoothing": ("one-sided label smoothing, 0.9", {"real_label": 0.9}),
    "two-rates": ("two time-scale rates, critic 3 times as fast", {"critic_lr": 3e-3}),
    "consensus": ("consensus optimisation, 0.1", {"consensus": 0.1}),
    "average": ("moving average of the generator, 0.999", {"average": 0.999}),
}
PLAIN = {"data": "grid", "prior": "normal", "epochs": 20, "batch_size": 128, "hidden": (64, 64), "lr": 1e-3}
PLAIN |= {"latent_dim": 2}
MATCH = (
    "squared MMD, and sKL, of prior and codes",
    lambda test: f"{test['squared_mmd']:.2g}, {pages.number(test['skl'], 0)}",
)
DIVERGENCE = "KL(q(z given x), p(z)) of test images", lambda test: f"{test['kl']:.2f}"
# Row -> title, model, what is its own, what its number is, and the number of its test results.
KINDS = {
    "info-gan": (
        *("InfoGAN", "info-gan", {"latent_dim": 32, "lr": 2e-3, "slope": 0.2, "decay": True}),
        "cluster accuracy of the code on test images",
        lambda test: f"{test['clusters']['accuracy']:.2%}",
    ),
    "eb-gan": (
        *("EBGAN", "eb-gan", {"latent_dim": 32, "lr": 5e-4}),
        "mean energy of test, and of generated images",
        lambda test: f"{test['critic_real']:.2f}, {test['critic_fake']:.2f}",
    ),
    "aae-free": ("autoencoder, codes left free", "aae", {"weight": 1e-6}, *MATCH),
    "aae-normal": ("AAE, N(0, I)", "aae", {}, *MATCH),
    "aae-trip": ("AAE, TRIP that goes to meet the codes", "aae", {"prior": "trip", "rank": 10}, *MATCH),
    "vae": ("VAE", "vae", {"latent_dim": 32, "binarize": "none"}, *DIVERGENCE),
    "vae-gan": ("VAE/GAN", "vae-gan", {"latent_dim": 32, "critic_lr": 1e-3}, *DIVERGENCE),
}
TRICKED = (
    "One seed each. The grid has 25 modes; a GAN under N(0, I) sees {} epochs. Good points lie within three standard "
    "deviations of a mode; balance is the entropy of their modes over the largest possible; the gap is the critic's "
    "mean number for real points less that for generated ones."
)
KINDRED = (
    "On MNIST, {epochs} epochs; Frechet distance from the test images in the features of our own classifier (weights "
    "{weights}, right on {accuracy:.2%}). Is the sKL of adversarial autoencoders so large because their encoders learn "
    "a width of almost nothing? No run here tells; by the MMD their codes match."
)


def page(table, rows):
    """Tricks on the grid, kinds on MNIST."""
    kinds = [row for row in rows if row.cell.reading is Likeness]
    tricks = {
        "trick": lambda row: row.cell.titles,
        "modes": lambda row: str(test_of(row)["modes"]),
        "good points": lambda row: f"{test_of(row)['good']:.1%}",
        "balance": lambda row: f"{test_of(row)['balance']:.3f}",
        "gap": lambda row: f"{test_of(row)['critic_real'] - test_of(row)['critic_fake']:.3f}",
    }
    parts = ["# Tricks and kinds of adversarial models", TRICKED.format(table.shared["gan.epochs"])]
    parts.append(pages.table(tricks, [row for row in rows if row not in kinds]))
    if kinds:
        judge = kinds[0].results[0]["beside"]["judge"]
        columns = {
            "model": lambda row: row.cell.titles[:1],
            "Frechet distance": lambda row: f"{row.results[0]['frechet']:.1f}",
            "what else": lambda row: row.cell.titles[1],
            "number": lambda row: row.cell.paper(test_of(row)),
            **Judges(kinds).columns,
        }
        parts += [KINDRED.format(epochs=table.shared["epochs"], **judge), pages.table(columns, kinds)]
    return parts


def test_of(row):
    """Of its only seed."""
    return row.results[0]["test"]


GOOD = Measure(
    *("share of good points", lambda result: 100 * result["test"]["good"] if "good" in result["test"] else None),
    *(1, " %", True),
)
PLAIN_TRICK = f"a GAN with the trick `{TRICKS['plain'][0]}`"
LIKENESS = Measure("Frechet distance", lambda result: result.get("frechet"), 1)
HEAD = Head(
    "What does each trick do to a GAN, and each kind of adversarial model, taken one at a time?",
    lambda rows: sentence(
        best(GOOD, entries(GOOD, rows, lambda row: f"a GAN with the trick `{row.cell.titles[0]}`"), PLAIN_TRICK),
        best(LIKENESS, entries(LIKENESS, rows), "VAE"),
    ),
    "More seeds, for a change of one seed is no measure of a trick; tuning each row equally, on a validation part.",
)
TABLES = [
    Table(
        "gan-tricks",
        "each trick and kind of GAN with a number",
        page,
        cells=[
            *(Cell((row,), "gan", values, titles=(title,)) for row, (title, values) in TRICKS.items()),
            *(
                Cell((row,), model, values, titles=(title, meaning), paper=number, reading=Likeness, label=title)
                for row, (title, model, values, meaning, number) in KINDS.items()
            ),
        ],
        shared={"prior": "normal", "epochs": 5, "batch_size": 64, "particles": 10}
        | {f"gan.{knob}": value for knob, value in PLAIN.items()},
        file="{cell}",
        head=HEAD,
        tuned={"info-gan": "chosen on the test part, which flatters it"},
    )
]
