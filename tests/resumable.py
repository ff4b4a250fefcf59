"""Small trainings with everything that holds state, to be cut off and resumed."""

import functools
import random
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyro
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import pyro_priors as pp
from pyro_priors import objectives, training
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder, MLPCritic, MLPGenerator
from pyro_priors.programs import GAN, VAE

SHAPE = (1, 4, 4)
EPOCHS = 5
BATCHES = 3  # of an epoch
SEED = 7


class Noisy(Dataset):
    """Pictures that draw from every global generator at each reading."""

    def __init__(self, count):
        self.grey = torch.rand(count, *SHAPE)

    def __len__(self):
        return len(self.grey)

    def __getitems__(self, indices):
        flips = random.random() + np.random.rand()  # noqa: NPY002
        return torch.bernoulli(self.grey[indices] * 0.5 * flips)


def loader(count, size=8, **kwargs):
    return DataLoader(Noisy(count), size, collate_fn=lambda batch: batch, **kwargs)


class Stop(training.Callback):
    """Calls a function at every hook with the hook's name and the state."""

    def __init__(self, act=lambda hook, state: None):
        self.act = act

    def on_epoch_start(self, state):
        self.act("epoch_start", state)

    def on_step_start(self, state):
        self.act("step_start", state)

    def on_step_end(self, state):
        self.act("step_end", state)

    def on_validation_start(self, state):
        self.act("validation_start", state)

    def on_epoch_end(self, state):
        self.act("epoch_end", state)
        return {"draw": random.gauss(0.0, 1.0) + np.random.randn()}  # noqa: NPY002 (each keeps a second one back)


def adam(*modules):
    return torch.optim.Adam([p for module in modules for p in module.parameters()], lr=0.01, fused=True)


def autoencoder():
    """With a layer that trains and validates differently, which the prior is set from in the mode it was left in."""
    encoder = GatedMLPEncoder(SHAPE, 2, (8,))
    encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Unflatten(1, SHAPE), encoder)
    encoder.latent_dim, encoder.image_shape = 2, SHAPE
    return VAE(encoder, GatedMLPDecoder(2, SHAPE, (8,)), pp.TRIP(2, components=3, rank=2))


def trip():
    vae, objective = autoencoder(), objectives.ELBO()
    own = torch.Generator().manual_seed(3)
    return SimpleNamespace(
        steps=[training.OptimizationStep(objective, adam(vae))],
        model=vae,
        data=loader(23, shuffle=True),
        validation=loader(12),
        callbacks=[
            training.Anneal(objective, "kl_weight", training.LinearWarmup(8)),
            training.CosineDecay(EPOCHS * BATCHES),
            training.Reinitialize(
                vae.prior, loader(24, shuffle=True, generator=own), encode=vae.encode, every=1, samples=20
            ),
        ],
        early_stopping=training.EarlyStopping(2),
    )


def factor():
    vae, discriminator = autoencoder(), objectives.Discriminator(2, (8,))
    ratio = objectives.DensityRatio(discriminator)
    return SimpleNamespace(
        steps=[
            training.OptimizationStep(objectives.FactorELBO(discriminator, 5.0), adam(vae)),
            training.OptimizationStep(ratio, torch.optim.RMSprop(ratio.parameters(), momentum=0.9)),
        ],
        model=vae,
        data=loader(23, shuffle=True, generator=torch.Generator().manual_seed(1)),
        validation=loader(12, shuffle=True),
        callbacks=[],
        early_stopping=None,
    )


def gan(hidden=8):
    prior = pp.TRIP(2, components=2, rank=2)
    model = GAN(MLPGenerator(2, SHAPE, (hidden,)), prior, MLPCritic(SHAPE, (hidden,), norm="spectral"))
    critic = objectives.CriticLoss(model.critic, penalty=10.0, noise=0.1)
    generator = objectives.GeneratorLoss(model.critic, noise=0.1)
    return SimpleNamespace(
        steps=[
            training.OptimizationStep(critic, adam(model.critic)),
            training.OptimizationStep(generator, adam(model.generator, model.prior), every=2),
        ],
        model=model,
        data=loader(23, shuffle=True),
        validation=None,
        callbacks=[
            training.ExponentialAverage(model.generator, 0.9),
            *(
                training.Anneal(objective, "noise", training.LinearWarmup(9, 0.1, 0.0))
                for objective in (critic, generator)
            ),
        ],
        early_stopping=None,
    )


MAKE = {"trip": trip, "factor": factor, "gan": gan}


def train(name, folder, act=lambda hook, state: None, **kwargs):
    """One call of `fit` on what `MAKE[name]` makes, or `name` itself -> the model, and the result."""
    pyro.set_rng_seed(5)
    made = MAKE.get(name, name)()
    if kwargs.get("resume"):
        pyro.set_rng_seed(6)  # nothing rests on how the process that resumes starts
    result = training.fit(
        made.steps,
        made.model,
        made.data,
        validation=made.validation,
        callbacks=[*made.callbacks, Stop(act)],
        early_stopping=made.early_stopping,
        run_dir=folder,
        **{"epochs": EPOCHS, "seed": SEED, "progress": False, **kwargs},
    )
    return made.model, result


def outcome(folder):
    """What lies in the folder of a run: the weights' bytes, the table without its seconds."""
    rows = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    seconds = rows[0].index("seconds")
    return (folder / "model.safetensors").read_bytes(), [row[:seconds] + row[seconds + 1 :] for row in rows]


class Killed(BaseException):
    """Nothing catches it."""


def same(model, other):
    mine, theirs = model.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def results(result):
    return result._replace(history=[{k: v for k, v in row.items() if k != "seconds"} for row in result.history])


@functools.cache
def undisturbed(name):
    """A whole training -> model, result and outcome."""
    with tempfile.TemporaryDirectory() as folder:
        return *train(name, folder), outcome(Path(folder))


def cut_off(name, folder, at, **kwargs):
    """Train until the `at`-th call of some hook (from 0), then die."""
    hook, count = at
    calls = iter(range(1000))

    def act(called, state):
        if called == hook and next(calls) == count:
            raise Killed

    with pytest.raises(Killed):
        train(name, folder, act, **kwargs)


def check_resumed(name, folder):
    model, result = train(name, folder, resume=True)
    whole, expected, files = undisturbed(name)
    assert outcome(folder) == files
    assert same(model, whole)
    assert results(result) == results(expected)
