"""A NaN in data, each network and prior of several kinds of models: the step in which it stops, and what it tells."""

import math
import re

import pytest
import torch
from ranks import in_processes
from resumable import gan
from small_programs import MAKE, SHAPE
from torch.utils.data import DataLoader, TensorDataset

from pyro_priors.training import Callback, OptimizationStep, fit
from pyro_priors.training import loop as fit_loop

BATCHES = 3
# Every batch of two epochs: a generator is due on the last of them, where its critic has drawn from the prior before.
WHERE = {step: f"epoch {1 + step // BATCHES}, batch {1 + step % BATCHES}: " for step in range(2 * BATCHES)}
COUNTED = "the batch has 1 such values itself$"


class Plant(Callback):
    """Spoils something before one step, and counts the steps that end."""

    def __init__(self, step, act):
        self.step, self.act, self.ended = step, act, 0

    def on_step_start(self, state):
        if state.step == self.step:
            self.act(state.model)

    def on_step_end(self, state):
        self.ended += 1


def parameter(*path):
    """Spoils the first parameter of a part of the model."""

    def act(model):
        for name in path:
            model = getattr(model, name)
        next(model.parameters()).data.view(-1)[0] = math.nan

    return act


class Spoilt:
    """Data of which, from a batch on, one pixel of each is no number."""

    def __init__(self, batches, since):
        self.batches, self.since, self.read = batches, since, 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for batch in self.batches:
            if self.read >= self.since:
                batch = tuple(tensor.clone() for tensor in batch)
                batch[0][0, 0, 1, 1] = math.nan
            self.read += 1
            yield batch


def spoil(kind, place, step):
    """Train a kind with a NaN in a place, planted before a step -> what is raised, and the steps that ended."""
    torch.manual_seed(0)
    x = torch.rand(8 * BATCHES, *SHAPE)
    y = torch.stack([torch.arange(len(x)) % 3, torch.randn(len(x))], -1).where(torch.rand(len(x), 2) < 0.7, math.nan)
    if kind == "gan":
        made = gan()
        steps, model, x = made.steps, made.model, torch.rand(8 * BATCHES, 1, 4, 4)
    else:
        model, objective = MAKE[kind]()
        steps = OptimizationStep(objective, torch.optim.Adam(model.parameters()))
    batches = [(x[i : i + 8], y[i : i + 8])[: 1 + (kind == "joint")] for i in range(0, len(x), 8)]
    plant = Plant(step, (lambda model: None) if place == "data" else parameter(*place.split(".")))
    data = Spoilt(batches, step if place == "data" else math.inf)
    with pytest.raises(FloatingPointError) as raised:
        fit(steps, model, data, epochs=3, callbacks=[plant], progress=False)
    return str(raised.value), plant.ended


GUIDE, MODEL = "site '[zc]' of the guide: ", "site '[zcxy]' of the model: "
MESSAGES = {
    ("trip", "data"): GUIDE + ".*; " + COUNTED,
    ("trip", "encoder"): GUIDE + r".*; weights are not finite: encoder\.",
    ("trip", "decoder"): MODEL + r".*; weights are not finite: decoder\.",
    ("trip", "prior"): MODEL + r".*; weights are not finite: prior\.",
    ("joint", "data"): GUIDE + ".*; " + COUNTED,
    ("joint", "encoder"): GUIDE + r".*; weights are not finite: encoder\.",
    ("joint", "decoder"): MODEL + r".*; weights are not finite: decoder\.",
    ("joint", "prior"): MODEL + r".*; weights are not finite: prior\.",
    ("categories", "data"): GUIDE + ".*; " + COUNTED,
    ("categories", "encoder"): GUIDE + r".*; weights are not finite: encoder\.",
    ("categories", "decoder"): MODEL + r".*; weights are not finite: decoder\.",
    ("categories", "prior"): MODEL + r".*; weights are not finite: prior\.",
    ("gan", "data"): COUNTED,
    ("gan", "critic"): r"weights are not finite: critic\.",
    ("gan", "generator"): MODEL + r"128 values are not finite; weights are not finite: generator\.",
    ("gan", "prior"): MODEL + r".*; weights are not finite: prior\.",
}


@pytest.mark.parametrize("step", WHERE)
@pytest.mark.parametrize(("kind", "place"), MESSAGES, ids=str)
def test_it_stops_in_that_step_and_tells_site_and_cause(kind, place, step):
    message, ended = spoil(kind, place, step)
    assert re.fullmatch(r"loss: expected a finite number, got .+ in epoch .*", message)
    assert WHERE[step] in message
    assert re.search(MESSAGES[kind, place], message.partition(WHERE[step])[2]), message
    assert ended == step


def test_validation_data_are_named_too():
    torch.manual_seed(0)
    model, objective = MAKE["categories"]()
    step = OptimizationStep(objective, torch.optim.Adam(model.parameters()))
    x = torch.rand(8, *SHAPE)
    spoilt = x.clone()
    spoilt[0, 0, 0, 0] = math.nan
    with pytest.raises(FloatingPointError, match=r"in epoch 1, batch 2 of the validation: site .*; " + COUNTED):
        fit(step, model, [x], epochs=1, validation=[x, spoilt], progress=False)


def test_errors_that_no_number_has_caused_stay_as_they_are():
    model, objective = MAKE["trip"]()
    model.decoder = torch.nn.Linear(3, 3)
    step = OptimizationStep(objective, torch.optim.Adam(model.parameters()))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(step, model, [torch.rand(8, *SHAPE)], epochs=1, progress=False)


class Overflowing(torch.nn.Module):
    """A decoder that is too small for half precision alone."""

    def __init__(self, decoder):
        super().__init__()
        self.decoder, self.latent_dim, self.image_shape = decoder, decoder.latent_dim, decoder.image_shape

    def forward(self, z):
        raw = self.decoder(z)
        return raw * math.nan if torch.is_autocast_enabled("cpu") else raw


def test_a_site_is_named_in_mixed_precision_too():
    model, objective = MAKE["trip"]()
    model.decoder = Overflowing(model.decoder)
    step = OptimizationStep(objective, torch.optim.Adam(model.parameters()))
    with pytest.raises(FloatingPointError, match=r"in epoch 1, batch 1: site 'x' of the model: .*"):
        fit(step, model, [torch.rand(8, *SHAPE).round()], epochs=1, precision="bf16-mixed", progress=False)


def test_missing_data_turn_no_other_mistake_into_one_of_numbers():
    class Mistaken:
        def __call__(self, model, guide, *batch):
            return torch.ones(2, 3) @ torch.ones(2, 3), None

    model, _ = MAKE["trip"]()
    step = OptimizationStep(Mistaken(), torch.optim.Adam(model.parameters()))
    model.model = model.guide = lambda *batch: None
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(step, model, [torch.full((8, *SHAPE), math.nan)], epochs=1, progress=False)


def as_rank(kind, where):
    """Two devices, of which the second meets a NaN -> what each raises."""
    torch.manual_seed(0)
    model, objective = MAKE[kind]()
    x, validation = torch.rand(32, *SHAPE), torch.rand(32, *SHAPE)
    spoilt = validation if where == "validation" else x
    batch = {"first": 0, "second": 1, "validation": 1}[where]
    spoilt[16 * batch + 1 : 16 * batch + 8 : 2, 0, 0, 0] = math.nan  # odd rows are those of the second
    step = OptimizationStep(objective, torch.optim.SGD(model.parameters(), lr=0.1))
    data, validation = (DataLoader(TensorDataset(images), 8) for images in (x, validation))
    with pytest.raises(FloatingPointError) as raised:
        fit(step, model, data, validation=validation, epochs=1, devices=2, progress=False)
    return str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "where", "batch"),
    [
        pytest.param("trip", "first", "batch 1", marks=pytest.mark.slow),
        pytest.param("trip", "second", "batch 2", marks=pytest.mark.slow),
        ("trip", "validation", "batch 2 of the validation"),
        pytest.param("categories", "second", "batch 2", marks=pytest.mark.slow),
    ],
)
def test_all_devices_stop_where_one_meets_it(kind, where, batch):
    first, second = in_processes(2, as_rank, kind, where)
    assert first == f"loss: expected a finite number, another of the devices got none in epoch 1, {batch}"
    assert re.match(rf"loss: expected a finite number, got .* in epoch 1, {batch}: site '[cz]' of the guide", second)


def refused(folder):
    """Two devices, of which the first cannot write its first checkpoint -> what each raises."""
    model, objective = MAKE["trip"]()
    step = OptimizationStep(objective, torch.optim.SGD(model.parameters(), lr=0.1))
    data = DataLoader(torch.rand(32, *SHAPE), 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_loop, "save_checkpoint", lambda *_: (_ for _ in ()).throw(OSError(28, "the disk is full")))
        with pytest.raises(OSError, match="the disk is full") as raised:
            fit(step, model, data, epochs=1, devices=2, run_dir=folder, progress=False)
    return str(raised.value)


@pytest.mark.slow
def test_what_the_first_device_cannot_write_stops_the_others(tmp_path):
    assert in_processes(2, refused, tmp_path) == ["[Errno 28] the disk is full"] * 2
