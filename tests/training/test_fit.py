"""The training loop: what it learns, writes, restores, and when it stops."""

import csv
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from linear_gaussian import QUIET, Line, Spy, X, sgd, weights
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO, ImportanceWeightedELBO
from pyro_priors.programs import VAE
from pyro_priors.training import Anneal, EarlyStopping, LinearWarmup, OptimizationStep, fit, load_weights
from pyro_priors.training.fitting import check_machine


def test_it_finds_the_maximum_of_a_known_bound():
    line, data = Line(), DataLoader(X, batch_size=16, shuffle=True)
    result = fit(
        OptimizationStep(ELBO(), torch.optim.Adam(line.parameters(), lr=0.02)), line, data, epochs=120, **QUIET
    )
    assert line.loc.item() == pytest.approx(float(X.mean()), abs=0.25)
    assert line.slope.item() == pytest.approx(0.5, abs=0.1)
    evidence = dist.Normal(X.mean(), math.sqrt(2.0)).log_prob(X).mean()
    assert result.history[-1]["train_loss"] == pytest.approx(-float(evidence), abs=0.15)
    assert (result.best_epoch, len(result.history), result.stopped_early) == (120, 120, False)
    assert result.history[-1]["step"] == 480


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("objective", [ELBO(), ImportanceWeightedELBO(3)])
def test_a_vae_with_a_learnable_prior_trains(objective, precision):
    pyro.set_rng_seed(0)
    encoder, decoder = GatedMLPEncoder((1, 4, 4), 3, hidden=(16,)), GatedMLPDecoder(3, (1, 4, 4), hidden=(16,))
    vae = VAE(encoder, decoder, pp.TRIP(3, components=3, rank=2))
    step = OptimizationStep(objective, torch.optim.Adam(vae.parameters(), lr=0.01))
    before = weights(vae)
    data = DataLoader(TensorDataset(torch.rand(32, 1, 4, 4).round()), batch_size=8)
    history = fit(step, vae, data, epochs=3, precision=precision, clip_norm=10.0, **QUIET).history
    assert not any(torch.equal(old, new) for old, new in zip(before, weights(vae), strict=True))
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_the_same_seed_gives_the_same_numbers_and_validation_changes_none():
    data, histories = DataLoader(X, batch_size=16, shuffle=True), []
    for validation in (None, None, [X]):
        line = Line()
        histories.append(fit(sgd(line), line, data, epochs=3, validation=validation, **QUIET).history)
    first, second, third = [[row["train_loss"] for row in history] for history in histories]
    assert first == second == third


def test_validation_draws_the_same_numbers_in_every_epoch():
    line = Line()
    history = fit(sgd(line, lr=1e-30), line, [X], epochs=3, validation=[X], **QUIET).history
    assert len({row["validation_loss"] for row in history}) == 1
    assert len({row["train_loss"] for row in history}) == 3


def test_files_of_a_run(tmp_path):
    line, run = Line(), tmp_path / "deep" / "run"
    result = fit(sgd(line), line, [X], epochs=3, validation=[X], run_dir=run, **QUIET)
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert float(rows[1]["validation_elbo"]) == result.history[1]["validation_elbo"]
    assert {"train_loss", "train_elbo", "train_reconstruction", "train_kl", "step", "seconds"} <= rows[0].keys()
    names = ["checkpoint.previous.safetensors", "checkpoint.safetensors", "metrics.csv", "model.safetensors"]
    assert sorted(path.name for path in run.iterdir()) == names
    other = Line()
    load_weights(other, run / "model.safetensors")
    assert weights(other) == weights(line)


def test_the_best_weights_by_validation_loss_are_left_and_written(tmp_path):
    line, seen = Line(), []

    def drift(state):
        seen.append(weights(line))
        if state.epoch > 4:  # spoil what was learned
            line.loc.data += 3.0

    result = fit(sgd(line), line, [X], epochs=8, validation=[X], callbacks=[Spy(drift)], run_dir=tmp_path, **QUIET)
    assert result.best_epoch == 4
    assert result.best_loss == min(row["validation_loss"] for row in result.history)
    assert weights(line) == seen[4]  # as the fifth step found them
    other = Line()
    load_weights(other, tmp_path / "model.safetensors")
    assert weights(other) == weights(line)


def test_early_stopping_waits_for_its_patience():
    line = Line()

    def spoil(state):
        line.loc.data += 3.0 * (state.epoch > 2)

    stopping = EarlyStopping(patience=3)
    result = fit(
        sgd(line), line, [X], epochs=50, validation=[X], callbacks=[Spy(spoil)], early_stopping=stopping, **QUIET
    )
    assert (result.stopped_early, result.best_epoch, len(result.history)) == (True, 2, 5)
    restored = EarlyStopping(patience=3)
    restored.load_state_dict(stopping.state_dict())
    assert (restored.best, restored.waited) == (result.best_loss, 3)


def test_several_steps_take_turns_each_with_its_own_optimizer():
    line, order = Line(), []

    class Noted(ELBO):
        def __call__(self, model, guide, *batch):
            order.append(self.kl_weight)
            return super().__call__(model, guide, *batch)

    steps = [
        (Noted(kl_weight=1.0), torch.optim.SGD([line.loc], lr=0.1)),
        (Noted(kl_weight=2.0), torch.optim.SGD([line.slope], lr=0.1)),
    ]
    history = fit(steps, line, [X, X], epochs=1, **QUIET).history
    assert order == [1.0, 2.0, 1.0, 2.0]
    assert line.loc.item() != 0
    assert line.slope.item() != 0
    assert line.offset.item() == 0
    assert {"train_loss", "train_1_loss", "train_1_kl"} <= history[0].keys()


def test_an_objective_with_parameters_of_its_own_is_trained():
    class Learned(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift, self.elbo = nn.Parameter(torch.zeros(())), ELBO()

        def forward(self, model, guide, *batch):
            loss, terms = self.elbo(model, guide, *batch)
            return loss + (self.shift - 1).square(), terms

    line, learned = Line(), Learned()
    fit((OptimizationStep(learned, torch.optim.SGD(learned.parameters(), lr=0.1))), line, [X], epochs=1, **QUIET)
    assert learned.shift.item() == pytest.approx(0.2)


@pytest.mark.parametrize("before", [True, False])
def test_pyro_validates_the_first_batch_only_and_is_left_as_it_was(before):
    seen = []

    class Watched(Line):
        def model(self, x):
            seen.append((pyro.infer.util.is_validation_enabled(), dist.is_validation_enabled()))
            super().model(x)
            if len(seen) == 5:
                raise KeyboardInterrupt

    line = Watched().eval()
    with pyro.validation_enabled(before):
        with pytest.raises(KeyboardInterrupt):
            fit(sgd(line), line, [X, X], epochs=9, **QUIET)
        assert pyro.infer.util.is_validation_enabled() == dist.is_validation_enabled() == before
    assert seen == [(True, True)] + [(False, False)] * 4
    assert not line.training


def test_clipping_bounds_the_update():
    line = Line()
    fit(sgd(line, lr=1.0), line, [X], epochs=1, clip_norm=0.01, **QUIET)
    assert torch.stack(weights(line)).norm() == pytest.approx(0.01, rel=1e-3)


def test_warmup_sets_the_weight_before_each_step_and_validates_under_the_last():
    line, objective, seen = Line(), ELBO(), []
    anneal = Anneal(objective, "kl_weight", LinearWarmup(steps=4, start=0.2))
    step = OptimizationStep(objective, torch.optim.SGD(line.parameters(), lr=0.01))
    note = Spy(lambda state: seen.append(objective.kl_weight))
    history = fit(step, line, [X, X], epochs=3, validation=[X], callbacks=[anneal, note], **QUIET).history
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    for row in history:
        assert row["validation_loss"] == pytest.approx(-row["validation_elbo"])
    assert history[0]["train_loss"] < -history[0]["train_elbo"]


def test_the_progress_bar_shows_the_epoch_and_can_be_switched_off(capsys):
    line = Line()
    fit(sgd(line), line, [X], epochs=2, progress=True)
    shown = capsys.readouterr()
    assert "epoch 2/2, loss" in shown.err
    fit(sgd(line), line, [X], epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")
    assert shown.out == ""


LINE = Line()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit([], LINE, [X], epochs=1), "steps: expected at least one OptimizationStep, got none"),
        (lambda: fit(sgd(LINE), LINE, [X], epochs=0), "epochs: expected an integer of at least 1, got 0"),
        (
            lambda: fit(sgd(LINE), LINE, [X], epochs=1, early_stopping=EarlyStopping(2)),
            "early_stopping: expected validation data beside it",
        ),
        (lambda: fit(sgd(LINE), LINE, [X], epochs=1, clip_norm=0.0), "clip_norm: expected a positive number or None"),
        (lambda: fit(sgd(LINE), LINE, [], epochs=1, progress=False), "train data: expected batches in every epoch"),
        (lambda: fit(sgd(LINE), LINE, iter([X]), epochs=2, progress=False), "train data: .*a generator runs only once"),
        (
            lambda: fit(sgd(LINE), LINE, [X], epochs=1, validation=[], progress=False),
            "validation data: expected batches in every epoch",
        ),
        (lambda: LinearWarmup(-1), "steps: expected at least 0, got -1"),
        (lambda: EarlyStopping(0), "patience: expected at least 1 epoch, got 0"),
        (lambda: EarlyStopping(1, min_delta=-1.0), "min_delta: expected at least 0, got -1.0"),
        (
            lambda: fit(OptimizationStep(ELBO(), torch.optim.LBFGS(LINE.parameters())), LINE, [X], epochs=1),
            "optimizer: expected one whose step takes no closure, got LBFGS",
        ),
        (
            lambda: fit(sgd(LINE), LINE, [X], epochs=1, precision="bf16-true"),
            "precision: expected one of 32-true, 64-true, bf16-mixed, 16-mixed, got 'bf16-true'",
        ),
        (lambda: fit(sgd(LINE), LINE, [X], epochs=1, devices=1000), "devices: expected at most .*, got 1000"),
        (
            lambda: fit(
                [sgd(LINE), OptimizationStep(ELBO(), torch.optim.SGD(LINE.parameters(), 0.1), every=2)],
                LINE,
                [X],
                epochs=1,
                **QUIET,
            ),
            "every: expected at most the 1 batches of the training, got 2",
        ),
        (lambda: Anneal(ELBO(), "beta", LinearWarmup(1)), "attribute: expected one of ELBO, got 'beta'"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_only_processors_are_counted_beforehand(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for accelerator in ("cpu", "auto"):
        with pytest.raises(ValueError, match=r"devices: expected at most .*, got 1000"):
            check_machine(accelerator, 1000, "32-true")
    check_machine("cuda", 1000, "32-true")  # who has them in other machines
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_machine("auto", 1000, "32-true")


def test_early_stopping_ignores_gains_below_min_delta():
    stopping = EarlyStopping(patience=2, min_delta=0.5)
    assert [stopping.update(loss) for loss in (5.0, 4.6, 4.4, 4.2, 4.1)] == [False, False, False, False, True]


def test_losses_that_do_not_compare_choose_no_epoch():
    """An objective that says so leaves the last weights, whatever the validation losses were, and stops nothing."""

    class Moving(ELBO):
        steady = False

    line = Line()
    step = OptimizationStep(
        Moving(), torch.optim.SGD(line.parameters(), lr=0.01, maximize=True)
    )  # every epoch is worse
    result = fit(step, line, [X], epochs=3, validation=[X], **QUIET)
    losses = [row["validation_loss"] for row in result.history]
    assert losses == sorted(losses)
    assert (result.best_epoch, result.best_loss) == (3, losses[-1])
    with pytest.raises(ValueError, match="early_stopping: expected None with Moving"):
        fit(step, line, [X], epochs=1, validation=[X], early_stopping=EarlyStopping(2), **QUIET)


class Endless:
    """Batches whose number is not known before they have come."""

    def __iter__(self):
        return iter([X[:20], X[20:30]])


def test_data_without_a_length_are_enough(tmp_path):
    line, other = Line(), Line()
    history = fit(sgd(line), line, Endless(), epochs=2, run_dir=tmp_path, **QUIET).history
    assert history[-1]["step"] == 4
    fit(sgd(other), other, [X[:20], X[20:30]], epochs=2, **QUIET)
    assert weights(line) == weights(other)


def test_a_bar_counts_batches_and_says_where_it_is(capsys):
    line = Line()
    fit(sgd(line), line, [X[:20], X[20:30], X[30:]], epochs=2, progress=True)
    shown = capsys.readouterr().err
    assert "| 6/6 [" in shown
    assert "epoch 2/2, loss" in shown
