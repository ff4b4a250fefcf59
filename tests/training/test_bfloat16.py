"""bf16-mixed on the CPU: networks run in bfloat16, priors and losses in float32, and losses are close to float32's."""

import pyro
import pytest
import torch
from ranks import noise_of_images
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pyro_priors as pp
from pyro_priors.distributions import ChainLaw
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder, MLPCritic
from pyro_priors.objectives import ELBO, FactorELBO, SimilarityLoss
from pyro_priors.programs import VAE, JointVAE
from pyro_priors.training import OptimizationStep, fit

SHAPE, LATENTS, EXAMPLES = (1, 8, 8), 8, 64
TOLERANCE = 5e-4  # relative; 1e-4 was measured: bfloat16 has 8 bits, but errors of pixels cancel


class Noted(ELBO):
    """Keeps the types that losses have before Fabric turns them to float32."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __call__(self, model, guide, *batch):
        loss, terms = super().__call__(model, guide, *batch)
        self.seen["loss"] |= {loss.dtype, *(term.dtype for term in terms)}
        self.seen["batch"] |= {part.dtype for part in batch}
        return loss, terms


def make(name):
    encoder, decoder = GatedMLPEncoder(SHAPE, LATENTS, (32,)), GatedMLPDecoder(LATENTS, SHAPE, (32,))
    if name == "joint":
        return JointVAE(encoder, decoder, pp.TTLP(LATENTS, {"digit": pp.Discrete(3)}, components=5, rank=4))
    return VAE(encoder, decoder, pp.TRIP(LATENTS, components=5, rank=4))


def train(name, precision, epochs=1):
    """-> the losses of the epochs, and the types seen in each place."""
    pyro.set_rng_seed(0)
    model, seen = make(name), {place: set() for place in ("batch", "loss", "prior", "networks")}
    x, y = torch.rand(EXAMPLES, *SHAPE).round(), (torch.arange(EXAMPLES) % 3).float().unsqueeze(-1)
    y[::2] = torch.nan
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda module, inputs, output: seen["networks"].add(output.dtype))
    density = ChainLaw.log_prob

    def log_prob(self, value):
        result = density(self, value)
        seen["prior"] |= {value.dtype, self.mean.dtype, result.dtype, torch.is_autocast_enabled("cpu")}
        return result

    data = DataLoader(TensorDataset(x, y) if name == "joint" else TensorDataset(x), 16)
    step = OptimizationStep(Noted(seen), torch.optim.Adam(model.parameters(), lr=0.01))
    with pytest.MonkeyPatch.context() as patch, noise_of_images(model.encoder, LATENTS):
        patch.setattr(ChainLaw, "log_prob", log_prob)
        how = {"epochs": epochs, "precision": precision, "progress": False, "seed": 0}
        history = fit(step, model, data, validation=data, **how).history
    return [row["train_loss"] for row in history], seen


@pytest.mark.parametrize("name", ["trip", "joint"])
def test_priors_and_losses_stay_in_float32_while_networks_do_not(name):
    _, seen = train(name, "bf16-mixed")
    assert seen["batch"] == seen["loss"] == {torch.float32}
    assert seen["prior"] == {torch.float32, False}
    assert seen["networks"] == {torch.bfloat16}
    _, seen = train(name, "32-true")
    assert seen["networks"] == {torch.float32}


def test_losses_of_critics_and_discriminators_stay_in_float32_too():
    pyro.set_rng_seed(0)
    model, x = make("trip"), torch.rand(16, *SHAPE).round()
    ratio = nn.Sequential(nn.Linear(LATENTS, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
    objectives = [
        FactorELBO(ratio, 2.0),
        *(SimilarityLoss(MLPCritic(SHAPE, (8,)), part) for part in ("encoder", "decoder")),
    ]
    for objective in objectives:
        with torch.autocast("cpu", torch.bfloat16):
            loss, terms = objective(model.model, model.guide, x)
        assert {loss.dtype, *(term.dtype for term in terms)} == {torch.float32}, objective


@pytest.mark.parametrize("name", ["trip", "joint"])
def test_losses_are_close_to_those_in_float32(name):
    """With the same noise per example."""
    losses, expected = train(name, "bf16-mixed", 5)[0], train(name, "32-true", 5)[0]
    assert expected[-1] < expected[0] - 1
    assert losses == pytest.approx(expected, rel=TOLERANCE)
    assert losses != expected
