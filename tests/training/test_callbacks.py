"""Re-initialisation of a prior between epochs, and the files of a run."""

import importlib
import os
import random

import pyro
import pytest
import torch
from torch import nn

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import VAE
from pyro_priors.training import (
    OptimizationStep,
    Reinitialize,
    callbacks,
    fit,
    load_weights,
    replace_file,
    save_weights,
)
from pyro_priors.training.callbacks import Anneal, CosineDecay, FitState
from pyro_priors.training.files import write_table
from pyro_priors.training.schedules import LinearWarmup


class Noted(nn.Module):
    """N(0, I) with one parameter; notes what it is reinitialised from."""

    def __init__(self, changes=None):
        super().__init__()
        self.latent_dim, self.shift, self.changes, self.seen = 2, nn.Parameter(torch.zeros(2)), changes, []

    def forward(self):
        return pyro.distributions.Normal(self.shift, 1.0).to_event(1)

    def reinitialize(self, z):
        self.seen.append(z)
        self.shift.data.fill_(7.0)
        return self.changes


@pytest.fixture(autouse=True)
def _seed():
    pyro.set_rng_seed(0)


def make_vae(prior):
    shape = (1, 4, 4)
    return VAE(GatedMLPEncoder(shape, 2, hidden=(8,)), GatedMLPDecoder(2, shape, hidden=(8,)), prior)


IMAGES = torch.rand(30, 1, 4, 4)


def run(prior, epochs, optimizer=None, data=IMAGES, **kwargs):
    vae = make_vae(prior)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    callback = Reinitialize(prior, data, encode=vae.encode, **kwargs)
    fit(OptimizationStep(ELBO(), optimizer), vae, IMAGES.split(10), epochs=epochs, callbacks=[callback], progress=False)
    return vae, optimizer, callback


@pytest.mark.parametrize(
    ("epochs", "schedule", "times"),
    [
        (1, {}, 0),
        (2, {}, 1),
        (6, {}, 1),
        (7, {}, 2),
        (12, {}, 3),
        (7, {"first": 2, "every": 2}, 3),
        (12, {"every": None}, 1),
    ],
)
def test_it_happens_after_the_first_epoch_and_then_every_so_many(epochs, schedule, times):
    prior = Noted()
    run(prior, epochs, **schedule)
    assert len(prior.seen) == times


@pytest.mark.parametrize("data", [IMAGES, IMAGES.split(8), [(x, None) for x in IMAGES.split(8)]])
def test_the_prior_sees_one_draw_for_each_of_so_many_examples(data):
    prior = Noted()
    vae, _, callback = run(prior, 2, data=data, samples=20)
    (z,) = prior.seen
    assert z.shape == (20, 2)
    assert not z.requires_grad
    many = [callback._encoded(torch.device("cpu"))[0] for _ in range(400)]
    if not isinstance(data, torch.Tensor):  # a tensor is sampled, batches are taken in order
        torch.testing.assert_close(torch.stack(many).mean(0), vae.encode(IMAGES[:20]).mean, atol=0.3, rtol=0)


def test_codes_are_draws_not_means():
    """Of wide posteriors whose means are all alike: spread, correlation and examples are those of draws."""
    wide = pyro.distributions.Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]))
    prior = Noted()
    callback = Reinitialize(
        prior, torch.rand(4000, 1), encode=lambda x: wide.expand([len(x), 2]).to_event(1), samples=3000
    )
    (z,) = callback._encoded(torch.device("cpu"))
    assert z.shape == (3000, 2)
    torch.testing.assert_close(z.mean(0), wide.loc, atol=0.25, rtol=0)  # 4.5 standard errors of the wider
    torch.testing.assert_close(z.std(0), wide.scale, rtol=0.06, atol=0)


def test_a_tensor_is_sampled_without_repetition_and_afresh():
    rows = torch.arange(50.0)[:, None]
    callback = Reinitialize(Noted(), rows, encode=None, samples=20)
    first, second = (callback._encoded(torch.device("cpu"))[0] for _ in range(2))
    assert len(first.unique()) == len(second.unique()) == 20
    assert not torch.equal(first, second)


def test_a_prior_with_attributes_sees_them():
    class Joint(Noted):
        attributes = ("label",)

        def reinitialize(self, z, y):
            self.labels = y
            return super().reinitialize(z)

    prior, labels = Joint(), torch.arange(len(IMAGES)).float().unsqueeze(-1)
    run(prior, 2, data=list(zip(IMAGES.split(8), labels.split(8), strict=True)), samples=20)
    assert torch.equal(prior.labels, labels[:20])


def test_fewer_examples_than_asked_are_all_taken():
    prior = Noted()
    run(prior, 2, data=IMAGES.split(8), samples=2000)
    assert prior.seen[0].shape == (30, 2)


@pytest.mark.parametrize(("changes", "stays"), [(None, False), (True, False), (False, True)])
def test_the_moments_of_the_prior_are_forgotten_if_it_changed(changes, stays):
    prior = Noted(changes)
    vae, optimizer, callback = run(prior, 1)
    from lightning_fabric import Fabric

    weight = vae.encoder.head.loc.weight
    assert prior.shift in optimizer.state
    callback.on_epoch_start(FitState(Fabric(accelerator="cpu", devices=1), vae, [optimizer], epoch=2))
    assert (prior.shift in optimizer.state) is stays
    assert weight in optimizer.state


@pytest.mark.parametrize("prior", [pp.TRIP(2, components=3, rank=2), pp.GaussianMixture(2, 3)])
def test_the_learnable_priors_are_moved_to_the_codes_and_go_on_learning(prior):
    before = [parameter.detach().clone() for parameter in prior.parameters()]
    vae, _, _ = run(prior, 3)
    assert not any(torch.equal(old, new) for old, new in zip(before, prior.parameters(), strict=True))
    assert vae.generate(2).isfinite().all()


def test_warm_restarts():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    decay, rates = CosineDecay(2, 4), []
    for step in range(8):
        decay.on_step_start(FitState(None, None, [optimizer], step=step))
        rates.append(optimizer.param_groups[0]["lr"])
    half = 0.5**0.5
    torch.testing.assert_close(
        torch.tensor(rates), torch.tensor([1, 0.5, 1, (1 + half) / 2, 0.5, (1 - half) / 2, 0, 0])
    )


def test_a_schedule_says_where_it_ends():
    with pytest.raises(ValueError, match="schedule: expected one with an `end`, such as LinearWarmup, got <function"):
        Anneal(ELBO(), "kl_weight", lambda step: 0.5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"first": 0}, "first: expected at least 1, got 0"),
        ({"every": 0}, "every: expected at least 1, got 0"),
        ({"samples": 0}, "samples: expected at least 1, got 0"),
    ],
)
def test_bad_counts(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Reinitialize(Noted(), IMAGES, encode=None, **kwargs)


def test_a_prior_that_cannot_be_reinitialised():
    with pytest.raises(ValueError, match="prior: expected one with a method reinitialize, got StandardNormal"):
        Reinitialize(pp.StandardNormal(2), IMAGES, encode=None)


def test_weights_survive_a_round_trip(tmp_path):
    first, second = make_vae(pp.TRIP(2, components=3, rank=2)), make_vae(pp.TRIP(2, components=3, rank=2))
    save_weights(first, tmp_path / "new" / "model.safetensors")
    load_weights(second, tmp_path / "new" / "model.safetensors")
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])


def test_shared_and_strided_tensors_can_be_saved(tmp_path):
    module = nn.ModuleList([nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)])
    module[1].weight = module[0].weight
    module[0].weight.data = torch.rand(3, 3).T
    before = module[0].weight.detach().clone()
    save_weights(module, tmp_path / "w.safetensors")
    with torch.no_grad():
        module[0].weight.zero_()
    load_weights(module, tmp_path / "w.safetensors")
    assert all(torch.equal(layer.weight, before) for layer in module)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_whoever_reads_the_old_file_reads_it_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as reader:
        replace_file(path, lambda temporary: temporary.write_text("new"))
        assert (reader.read(), path.read_text()) == ("old", "new")


def test_a_table_has_the_columns_of_all_rows(tmp_path):
    write_table([{"a": 1}, {"a": 2, "b": 3.5}], tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().split() == ["a,b", "1,", "2,3.5"]


def test_bad_weight_files(tmp_path):
    linear, path = nn.Linear(2, 3), tmp_path / "model.safetensors"
    with pytest.raises(ValueError, match=r"path: expected a file of weights, got .*there is no such file"):
        load_weights(linear, path)
    path.write_text("this is not it")
    with pytest.raises(ValueError, match="path: expected a safetensors file"):
        load_weights(linear, path)
    save_weights(nn.Linear(4, 3), path)
    before = linear.weight.detach().clone()
    with pytest.raises(ValueError, match=r"another architecture \(weight: expected \(3, 2\), got \(3, 4\)\)"):
        load_weights(linear, path)
    save_weights(nn.Linear(2, 3, bias=False), path)
    with pytest.raises(ValueError, match=r"another architecture \(bias: expected \(3,\), got None\)"):
        load_weights(linear, path)
    assert torch.equal(linear.weight, before)


def test_a_warmup_of_no_steps_waits_for_its_delay():
    jump = LinearWarmup(0, start=7.0, end=1.0, delay=5)
    assert [jump(step) for step in (0, 4, 5)] == [7.0, 7.0, 1.0]


def test_what_sets_priors_is_imported_beforehand_and_draws_nothing(monkeypatch):
    imported = []

    def first(name):
        imported.append(name)
        random.random()

    before = random.getstate()
    monkeypatch.setattr(importlib, "import_module", first)
    callbacks._import_clusters()
    assert imported == ["sklearn.cluster"]
    assert random.getstate() == before
