"""`quickstart`: scikit-learn's digits with 70 % of the labels hidden: train, impute the hidden labels, generate."""

import dataclasses
from pathlib import Path

import pyro
import torch

from inference.train import train
from models import configure
from models.shared import runs
from models.shared.answers import answers
from pyro_priors import queries
from pyro_priors.checks import UserError, check_seed


@dataclasses.dataclass(frozen=True)
class Quickstart:
    """Train a joint VAE on digits most of whose labels are hidden; no download, under two minutes."""

    missing: float = 0.7  # Share of the labels that is hidden.
    epochs: int = 60  # Passes over the 1,258 training digits.
    seed: int = 0  # Seed of weights, batches, draws, and of what is hidden.
    runs_dir: Path = Path("runs")  # Results land in RUNS_DIR/quickstart/TIME.
    progress: bool = True  # Show a progress bar.

    def __post_init__(self):
        check_seed(self.seed)
        if not 0 < self.missing < 1:
            raise UserError(f"missing: expected a share between 0 and 1, got {self.missing}")


def main(config: Quickstart):
    """Train, impute, generate; print the table, and say where the images are."""
    from models.shared import figures_attributes  # here, since --help does without matplotlib

    joint = configure(
        "joint-vae",
        data="digits",
        missing=config.missing,
        network="mlp",
        hidden=(200,),
        # A learned scale of the pixels leaves the codes rich enough to tell digits apart; coin flips do not.
        likelihood="gaussian",
        latent_dim=16,
        rank=30,
        decay=True,
        epochs=config.epochs,
        batch_size=32,
        lr=3e-3,
        reinit_first=5,
        seed=config.seed,
        runs_dir=config.runs_dir,
        name="quickstart",
        progress=config.progress,
    )
    torch.set_num_threads(1)  # networks this small gain nothing from more
    images = joint.load_data()
    run, summary = train(joint, images)
    model = runs.trained(run.folder).model
    reader = Reader(images)
    hidden = images.train.hidden[:, 0]
    pyro.set_rng_seed(config.seed)
    probs = answers(model, images.train).probs["digit"]
    pyro.set_rng_seed(config.seed)
    drawn = {digit: queries.generate(model, 100, {"digit": float(digit)}) for digit in range(10)}
    obeyed = {digit: (reader(images) == digit).double().mean().item() for digit, images in drawn.items()}
    some = (~hidden.isnan()).nonzero()[:40, 0]
    figures_attributes.imputed(
        run.folder / "imputed.png",
        images.train.first()[some],
        probs[some],
        hidden[some],
        images.attributes[0].categories,
    )
    print(table(hidden, probs.argmax(-1), obeyed, baselines(images)))
    print(
        f"ECE of the imputed labels {summary['hidden']['digit']['ece']:.3f}. Generated digits are read by a classifier "
        f"that was trained with all labels and is right on {reader.accuracy:.1%} of the test digits."
    )
    print(f"attributes.png, imputed.png, latent.png, reliability.png, coverage.png and more are in {run.folder}")


class Reader:
    """A support vector machine trained with all labels, apart from the model it judges."""

    def __init__(self, images):
        from sklearn.svm import SVC  # here, since --help does without

        truth = torch.where(images.train.hidden.isnan(), images.train.labels, images.train.hidden)
        self.machine = SVC(gamma="scale").fit(images.train.first().flatten(1).numpy(), truth[:, 0].numpy())
        self.accuracy = (self(images.test.first()) == images.test.labels[:, 0]).double().mean().item()

    def __call__(self, images):
        """Images `(n, C, H, W)` -> digits `(n,)`."""
        return torch.from_numpy(self.machine.predict(images.flatten(1).numpy()))


def baselines(images):
    """What classifiers of pixels impute right of the hidden labels, trained on those that are visible."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    pixels, hidden = images.train.first().flatten(1).numpy(), images.train.hidden[:, 0]
    unknown, labels = (~hidden.isnan()).numpy(), images.train.labels[:, 0].numpy()
    rivals = {"nearest neighbour": KNeighborsClassifier(1), "logistic regression": LogisticRegression(max_iter=1000)}
    fits = {name: rival.fit(pixels[~unknown], labels[~unknown]) for name, rival in rivals.items()}
    return {name: float((fit.predict(pixels[unknown]) == hidden[unknown].numpy()).mean()) for name, fit in fits.items()}


def table(truth, imputed, obeyed, rivals):
    """For every digit: how many labels were hidden, how many of them were imputed right, how often it is drawn right.

    Then what classifiers impute right of all hidden labels; they draw nothing.

    Args:
        truth: hidden labels `(n,)`, NaN where a label was visible.
        imputed: digits `(n,)`.
        obeyed: `{digit: share of the images generated for it that show it}`.
        rivals: `{classifier: share of the hidden labels that it imputes right}`.
    """
    lines = [f"{'digit':<24}{'labels hidden':>14}{'imputed right':>15}{'generated right':>17}"]
    for digit in [*obeyed, None]:
        rows = ~truth.isnan() if digit is None else truth == digit
        right = (imputed == truth)[rows].double().mean().item()
        drawn = sum(obeyed.values()) / len(obeyed) if digit is None else obeyed[digit]
        name = "all" if digit is None else digit
        lines.append(f"{name:<24}{int(rows.sum()):>14}{right:>15.1%}{drawn:>17.1%}")
    count = int((~truth.isnan()).sum())
    lines += [f"{f'all, {name}':<24}{count:>14}{right:>15.1%}" for name, right in rivals.items()]
    return "\n".join(lines)
