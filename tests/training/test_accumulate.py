"""Gradients that accumulate over batches: the same steps as on larger ones, with one process or two."""

import os
import signal

import pytest
import torch
from linear_gaussian import QUIET, Line, Spy, X, sgd, weights
from ranks import in_processes, noise_of_images
from resumable import BATCHES, cut_off, outcome, results, same, train
from torch.utils.data import DataLoader

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO, DensityRatio, Discriminator, FactorELBO
from pyro_priors.programs import VAE
from pyro_priors.training import CHECKPOINT, Callback, CheckpointError, OptimizationStep, Terminated, fit, load_state

SHAPE, LATENTS, EXAMPLES = (1, 3, 3), 2, 48
TOLERANCE = 1e-6


class Watched(Callback):
    """Parameters and gradients after every batch."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, state):
        parameters = list(state.model.parameters())
        self.seen.append(
            [torch.cat([t.detach().flatten() for t in ts]) for ts in (parameters, [p.grad for p in parameters])]
        )


def steps_of(batches, devices=1, **kwargs):
    """VAE-TRIP, with the same noise per example -> parameters and gradients after every batch, `(steps, 2, n)`."""
    torch.manual_seed(0)
    prior = pp.TRIP(LATENTS, components=3, rank=2)
    vae = VAE(GatedMLPEncoder(SHAPE, LATENTS, (8,)), GatedMLPDecoder(LATENTS, SHAPE, (8,)), prior)
    x, watched = torch.rand(EXAMPLES, *SHAPE), Watched()
    data = DataLoader(x, batches) if isinstance(batches, int) else x.split(batches)
    step = OptimizationStep(ELBO(), torch.optim.SGD(vae.parameters(), lr=0.05, momentum=0.9))
    how = {"epochs": 2, "devices": devices, "callbacks": [watched], **QUIET}
    with noise_of_images(vae.encoder, LATENTS):
        fit(step, vae, data, **how, **kwargs)
    return torch.stack([torch.stack(pair) for pair in watched.seen])


def close(actual, expected):
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() < TOLERANCE
    assert (expected[-1, 0] - expected[0, 0]).abs().max() > 1e-2


def test_three_batches_make_the_step_of_one_three_times_as_large():
    steps = steps_of(4, accumulate=3)
    close(steps[2::3], steps_of(12))
    assert torch.equal(steps[0, 0], steps[1, 0])
    assert torch.equal(steps[2, 0], steps[3, 0])


def test_the_last_group_of_an_epoch_counts_its_own_batches():
    """Six batches of eight: groups of four and of two."""
    steps = steps_of([8] * 6, accumulate=4)
    close(steps[[3, 5, 9, 11]], steps_of([32, 16]))


def test_a_norm_is_clipped_after_the_mean():
    steps = steps_of(4, accumulate=3, clip_norm=0.01)
    expected = steps_of(12, clip_norm=0.01)
    assert (steps[2::3] - expected).abs().max() < TOLERANCE
    assert steps[2, 1].norm() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.slow
def test_two_processes_exchange_gradients_at_the_end_of_a_group_only():
    first, second = in_processes(2, steps_of, 4, 2, accumulate=2)
    assert len(first) == 12
    assert torch.equal(first[:, 0], second[:, 0])
    assert torch.equal(first[1::2], second[1::2])
    assert ((first[0::2, 1] - second[0::2, 1]).abs().amax(-1) > 1e-3).all()
    close(first[1::2], steps_of(16))


@pytest.mark.slow
def test_the_last_group_of_two_processes_is_exchanged_too():
    first, second = in_processes(2, steps_of, 4, 2, accumulate=4)
    assert torch.equal(first[[3, 5, 9, 11]], second[[3, 5, 9, 11]])
    close(first[[3, 5, 9, 11], :], steps_of([32, 16]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return *train("trip", folder, accumulate=2), outcome(folder)


def check_resumed(folder, whole):
    model, result = train("trip", folder, resume=True, accumulate=2)
    assert same(model, whole[0])
    assert results(result) == results(whole[1])
    assert outcome(folder) == whole[2]


@pytest.mark.parametrize(("batch", "written"), [(0, 3), (1, 3), (2, 5)])
def test_cut_off_amid_a_group_it_goes_on_from_the_one_before(tmp_path, whole, batch, written):
    """An epoch has a group of two and one of one."""
    cut_off("trip", tmp_path, ("step_end", BATCHES + batch), checkpoint_every=1, accumulate=2)
    assert load_state(tmp_path / CHECKPOINT)["step"] == written
    check_resumed(tmp_path, whole)


def test_a_signal_stops_it_after_the_group(tmp_path, whole):
    def act(hook, state):
        if (hook, state.step) == ("step_start", BATCHES):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Terminated, match="after batch 2 of epoch 2"):
        train("trip", tmp_path, act, accumulate=2)
    check_resumed(tmp_path, whole)


def test_a_checkpoint_of_other_groups_is_told(tmp_path):
    cut_off("trip", tmp_path, ("step_end", BATCHES), accumulate=2)
    with pytest.raises(CheckpointError, match=r"another training .accumulate: expected 3, got 2"):
        train("trip", tmp_path, resume=True, accumulate=3)


def test_a_gradient_that_is_not_finite_names_the_batches():
    line = Line()

    class Root(ELBO):
        def __call__(self, model, guide, *batch):
            loss, terms = super().__call__(model, guide, *batch)
            return loss + line.loc.abs().sqrt(), terms  # its derivative at 0 is infinite

    step = OptimizationStep(Root(), torch.optim.SGD(line.parameters(), lr=0.1))
    with pytest.raises(FloatingPointError, match=r"gradient: expected .* in epoch 1, batches 1 to 2"):
        fit(step, line, [X] * 5, epochs=1, accumulate=2, **QUIET)
    assert weights(line) == weights(Line())


class Short(list):
    """Says that it has one more."""

    def __len__(self):
        return super().__len__() + 1


def test_what_cannot_accumulate():
    vae, discriminator = Line(), Discriminator(1, (2,))
    ratio = DensityRatio(discriminator)
    two = [
        OptimizationStep(FactorELBO(discriminator, 1.0), torch.optim.SGD(vae.parameters(), lr=0.1)),
        OptimizationStep(ratio, torch.optim.SGD(ratio.parameters(), lr=0.1)),
    ]
    for steps, data, count, message in (
        (two, [X], 2, "accumulate: expected 1 with several steps, got 2"),
        (sgd(vae), [X], 0, "accumulate: expected an integer of at least 1, got 0"),
        (sgd(vae), iter([X]), 2, "data: expected a length where gradients accumulate, got list_iterator"),
        (sgd(vae), Short([X, X, X]), 2, "data: expected 4 batches, as its length says, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(steps, vae, data, epochs=1, accumulate=count, **QUIET)


def test_schedules_count_batches():
    seen, line = [], Line()
    result = fit(
        sgd(line), line, [X] * 3, epochs=2, accumulate=2, callbacks=[Spy(lambda s: seen.append(s.step))], **QUIET
    )
    assert seen == list(range(6))
    assert result.history[-1]["step"] == 6
