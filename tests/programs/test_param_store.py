"""Parameters leave Pyro's store with the model that they belong to, and with no other."""

import copy
import gc
import pickle
import subprocess
import sys

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

import pyro_priors as pp
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import VAE
from pyro_priors.training import OptimizationStep, fit

SHAPE = (1, 2, 2)
X = torch.tensor([[[[0.0, 1.0], [1.0, 0.0]]], [[[1.0, 1.0], [0.0, 0.0]]]])


@pytest.fixture(autouse=True)
def own_store():
    gc.collect()
    with pyro.get_param_store().scope():
        yield
        gc.collect()


def make(prior=None, name=None):
    return VAE(
        GatedMLPEncoder(SHAPE, 2, (4,)), GatedMLPDecoder(2, SHAPE, (4,)), prior or pp.GaussianMixture(2, 2), name=name
    )


def train(vae, steps=1):
    svi = SVI(vae.model, vae.guide, ClippedAdam({"lr": 0.1}), Trace_ELBO())
    for _ in range(steps):
        svi.step(X)


def names():
    return list(pyro.get_param_store().keys())


def consistent():
    store = pyro.get_param_store()
    known = {id(value) for value in store._params.values()}
    return set(store._params) == set(store._constraints) and {id(value) for value in store._param_to_name} == known


def test_fits_one_after_the_other_leave_nothing():
    for _ in range(5):
        vae = make()
        fit(OptimizationStep(ELBO(), torch.optim.Adam(vae.parameters())), vae, X.split(2), epochs=1, progress=False)
        train(vae)
        assert len(names()) == len(list(vae.parameters()))
    del vae
    gc.collect()
    assert not names()
    assert consistent()


def test_only_its_own_go():
    pyro.param("mine", torch.ones(2))
    stays, gone = make(name="model"), make(name="model_b")  # one name begins with the other
    train(stays)
    train(gone)
    del gone
    assert set(names()) == {"mine", *(f"model$$${name}" for name, _ in stays.named_parameters())}
    del stays
    assert names() == ["mine"]
    assert consistent()


@pytest.mark.parametrize("first", [True, False])
def test_a_part_of_two_models_stays_for_the_other(first):
    prior = pp.GaussianMixture(2, 2)
    models = [make(prior), make(prior)]
    for vae in models:
        train(vae)
    del vae
    models.pop(0 if first else 1)
    (left,) = models
    assert len(names()) == len(list(left.parameters()))
    assert consistent()
    store = pyro.get_param_store()
    assert all(store.param_name(p) == f"{left.name}$$$prior.{name}" for name, p in prior.named_parameters())
    before = [p.detach().clone() for p in left.parameters()]
    train(left)
    assert all(not torch.equal(old, new) for old, new in zip(before, left.parameters(), strict=True))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda vae: pickle.loads(pickle.dumps(vae))])
def test_copies_take_theirs_along_alone(copied):
    vae = make()
    twin = copied(vae)  # before: Pyro leaves weak references in parameters, which cannot be pickled
    train(vae)
    train(twin)
    assert len(names()) == 2 * len(list(vae.parameters()))
    del twin
    assert names() == [f"{vae.name}$$${name}" for name, _ in vae.named_parameters()]
    train(vae)


def test_a_cleared_store_and_one_within_another():
    vae, outer = make(), make(name="outer")
    train(outer)
    train(vae)
    with pyro.get_param_store().scope() as inner:
        train(vae)
        del vae
        assert not names()
    assert not [name for name in inner["params"] if not name.startswith("outer")]
    pyro.clear_param_store()
    del outer
    assert not names()
    again = make(name="outer")  # the name is free
    train(again)
    assert consistent()


def test_a_name_may_be_used_again():
    for _ in range(3):
        vae = make(name="vae")
        train(vae)
        del vae
        gc.collect()


@pytest.mark.slow
def test_the_end_of_a_process_is_quiet():
    script = (
        "import torch, pyro, pyro_priors as pp\n"
        "from pyro_priors.networks import GatedMLPDecoder as D, GatedMLPEncoder as E\n"
        "from pyro_priors.programs import VAE\n"
        "vae = VAE(E((1, 2, 2), 2, (4,)), D(2, (1, 2, 2), (4,)), pp.GaussianMixture(2, 2))\n"
        "vae.me = [vae]\n"  # in a circle
        "pyro.module(vae.name, vae)\n"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=100)
    assert (run.returncode, run.stderr) == (0, "")
