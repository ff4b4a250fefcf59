"""What is handed to `fit` again behaves as the first time: a law over every callback and schedule that there is."""

import importlib
import inspect
import pkgutil
from types import SimpleNamespace

import pyro
import pytest
import torch
from resumable import SHAPE, loader
from torch import nn

import pyro_priors as pp
from experiments.bench.training_loop import Clock
from models.shared.attributes import LabelTerm
from pyro_priors import metrics, training
from pyro_priors.networks import GatedMLPCategoricalEncoder, GatedMLPDecoder
from pyro_priors.objectives import ELBO
from pyro_priors.programs import CategoricalVAE
from pyro_priors.training import schedules

LR = 0.01


def world():
    """A program with two levels, its objective, and data, which every callback can do something with."""
    pyro.set_rng_seed(1)
    encoder, decoder = GatedMLPCategoricalEncoder(SHAPE, 3, 2, (8,)), GatedMLPDecoder(5, SHAPE, (8,))
    model = CategoricalVAE(encoder, decoder, pp.CategoricalGaussian(3, 2))
    objective = ELBO(enumerate=True)
    objective.flag = None
    return SimpleNamespace(
        model=model, objective=objective, data=loader(23, shuffle=True), images=torch.rand(20, *SHAPE)
    )


def anneal(attribute, schedule):
    return lambda w, tmp_path: [training.Anneal(w.objective, attribute, schedule)]


def reinitialize(w, tmp_path):
    return [training.Reinitialize(w.model, loader(24, shuffle=True), encode=None, every=1, samples=20)]


def draw(w, tmp_path):
    return [training.Draw(lambda model, epoch: torch.rand(1))]


PARTS = {  # each public callback or schedule, as it is used
    training.LinearWarmup: anneal("kl_weight", training.LinearWarmup(5, 0.2, 0.7, delay=1)),
    training.Until: anneal("flag", training.Until(3)),
    training.EarlyStopping: lambda w, tmp_path: [training.EarlyStopping(1)],
    training.Anneal: anneal("kl_weight", training.LinearWarmup(4)),
    training.CosineDecay: lambda w, tmp_path: [training.CosineDecay(2, 7)],
    training.Plateau: lambda w, tmp_path: [training.Plateau(0.5)],
    training.Reinitialize: reinitialize,
    training.ExponentialAverage: lambda w, tmp_path: [training.ExponentialAverage(w.model, 0.8)],
    training.TensorBoard: lambda w, tmp_path: [training.TensorBoard(tmp_path / "curves")],
    training.Draw: draw,
    LabelTerm: lambda w, tmp_path: [LabelTerm(w.model)],
    metrics.CategoryMetrics: lambda w, tmp_path: [metrics.CategoryMetrics(w.model, w.images, torch.arange(20) % 3)],
    Clock: lambda w, tmp_path: [Clock()],
}


def plain(state):
    """A tensor as its sum and its last number: printing all of them takes long."""
    if isinstance(state, dict):
        return {name: plain(value) for name, value in state.items()}
    return (float(state.sum()), state.flatten()[-1:].tolist()) if isinstance(state, torch.Tensor) else state


class Watch(training.Callback):
    """Notes what anything may read at every hook, and may die."""

    def __init__(self, w, parts, dies=None):
        self.w, self.parts, self.dies, self.seen = w, parts, dies, []

    def note(self, state):
        rates = [group["lr"] for optimizer in state.optimizers for group in optimizer.param_groups]
        kept = [repr(plain(part.state_dict())) for part in self.parts]
        self.seen.append((state.epoch, state.step, rates, self.w.objective.kl_weight, self.w.objective.flag, kept))
        if state.step == self.dies:
            raise KeyboardInterrupt

    on_epoch_start = on_step_start = on_step_end = on_validation_start = note


def fitted(w, parts, optimizer, seed=3, dies=None, epochs=3):
    """A training -> all that it was."""
    watch = Watch(w, parts, dies)
    stopping = [part for part in parts if isinstance(part, training.EarlyStopping)]
    result = training.fit(
        training.OptimizationStep(w.objective, optimizer),
        w.model,
        w.data,
        epochs=epochs,
        validation=[w.images[:5]],
        callbacks=[*(part for part in parts if part not in stopping), watch],
        early_stopping=stopping[0] if stopping else None,
        seed=seed,
        progress=False,
    )
    history = [{name: value for name, value in row.items() if name != "seconds"} for row in result.history]
    weights = {
        name: tensor.tolist() for name, tensor in w.model.state_dict().items() if isinstance(tensor, torch.Tensor)
    }
    return result._replace(history=history), weights, watch.seen


def sgd(w, lr=LR):
    """Without moments, which belong to the parameters and go on with them."""
    return torch.optim.SGD(w.model.parameters(), lr=lr)


def kinds_there_are():
    """Found by looking at everything that can be imported: one more than the catalogue has is one that no law sees."""
    for house in ("pyro_priors", "models", "inference"):
        for module in pkgutil.walk_packages(importlib.import_module(house).__path__, f"{house}."):
            importlib.import_module(module.name)
    rooms = ("pyro_priors.", "models.", "inference.", "experiments.")
    callbacks = {kind for kind in _below(training.Callback) if kind.__module__.startswith(rooms)}
    return callbacks | {
        k for _, k in inspect.getmembers(schedules, inspect.isclass) if k.__module__ == schedules.__name__
    }


def _below(kind):
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


def test_the_law_is_over_all_that_there_are():
    assert kinds_there_are() == set(PARTS)


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_another_training_is_as_the_first(tmp_path, kind):
    """After one that died and one with other rates, random numbers and weights."""
    fresh = world()
    expected = fitted(fresh, PARTS[kind](fresh, tmp_path), sgd(fresh))
    used = world()
    start = {name: tensor.clone() for name, tensor in used.model.state_dict().items()}
    parts, optimizer = PARTS[kind](used, tmp_path), sgd(used)
    with pytest.raises(KeyboardInterrupt):
        fitted(used, parts, optimizer, dies=4)
    fitted(used, parts, sgd(used, lr=0.5 * LR), seed=4, epochs=2)
    used.model.load_state_dict(start)
    assert fitted(used, parts, optimizer) == expected


def test_a_resumed_training_goes_on_where_it_was():
    """The law does not hold for a resumed one: it would forget. (Its numbers: see test_resume.)"""
    state = training.FitState(None, None, [])
    for part in (training.EarlyStopping(3), training.ExponentialAverage(nn.Linear(1, 1))):
        if isinstance(part, training.EarlyStopping):
            part.update(1.0)
        else:
            part.on_step_end(state)
        kept = repr(part.state_dict())
        part.load_state_dict(part.state_dict())
        assert repr(part.state_dict()) == kept
        part.on_fit_start(state)
        assert repr(part.state_dict()) != kept


def test_a_decay_that_was_killed_leaves_the_rates_of_before():
    """Also where the next training has no decay, or another."""
    w = world()
    optimizer = sgd(w)
    with pytest.raises(KeyboardInterrupt):
        fitted(w, [training.CosineDecay(4)], optimizer, dies=2)
    assert [group["lr"] for group in optimizer.param_groups] == [LR]
    *_, seen = fitted(w, [training.CosineDecay(9)], optimizer)
    assert seen[0][2] == [LR]
    assert [group["lr"] for group in optimizer.param_groups] == [LR]


@pytest.mark.parametrize("kind", [lambda b: (x for x in b), lambda b: zip(b), lambda b: map(torch.clone, b)])
def test_batches_that_run_once_are_told_before_anything_is_done(tmp_path, kind):
    w = world()
    batches = [torch.rand(4, *SHAPE)] * 2
    step = training.OptimizationStep(w.objective, sgd(w))
    before = {name: tensor.clone() for name, tensor in w.model.state_dict().items()}
    for how in ({"data": kind(batches)}, {"data": batches, "validation": kind(batches)}):
        name = "validation" if "validation" in how else "data"
        with pytest.raises(ValueError, match=rf"{name}: expected batches for each of 2 epochs, got a .*runs only once"):
            training.fit(step, w.model, **how, epochs=2, run_dir=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())
    assert all(torch.equal(tensor, before[name]) for name, tensor in w.model.state_dict().items())
    assert training.fit(step, w.model, kind(batches), epochs=1, progress=False).history[0]["step"] == 2


def test_codes_that_run_once_are_told():
    w = world()
    again = training.Reinitialize(w.model, (x for x in [w.images]), encode=None, every=1)
    with pytest.raises(ValueError, match=r"data: expected batches every time, got none \(a generator runs only once\)"):
        fitted(w, [again], sgd(w))
