"""Encoders, decoders and likelihoods: shapes, precision, bad sizes."""

import math

import pytest
import torch

from pyro_priors.networks import ConvDecoder, ConvEncoder, GatedLinear, GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import GaussianLikelihood, make_likelihood

SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64)]
PAIRS = [(GatedMLPEncoder, GatedMLPDecoder, {"hidden": (16, 8)}), (ConvEncoder, ConvDecoder, {"channels": 4})]


def test_the_gate_multiplies():
    layer, x = GatedLinear(3, 2), torch.randn(5, 3)
    gate = 1 / (1 + (-(x @ layer.gate.weight.T + layer.gate.bias)).exp())
    torch.testing.assert_close(layer(x), (x @ layer.value.weight.T + layer.value.bias) * gate)


def test_glorot_start_of_the_gated_layers():
    weight = GatedLinear(300, 200).value.weight.detach()
    assert weight.abs().max() <= math.sqrt(6 / 500)
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / 500), rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("encoder", "decoder", "size"), PAIRS)
def test_shapes(encoder, decoder, size, shape):
    law = encoder(shape, 5, **size)(torch.rand(2, *shape))
    assert (law.batch_shape, law.event_shape) == ((2,), (5,))
    net = decoder(5, shape, **size)
    z = torch.randn(4, 2, 5)
    assert net(z).shape == (4, 2, *shape)
    torch.testing.assert_close(net(z)[3], net(z[3]))  # leading dimensions are independent draws
    assert net(z[0, 0]).shape == shape


@pytest.mark.parametrize(("encoder", "decoder", "size"), PAIRS)
def test_encoders_give_float32_under_autocast(encoder, decoder, size):
    net, x = encoder((1, 28, 28), 5, **size), torch.rand(2, 1, 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        law = net(x)
        raw = decoder(5, (1, 28, 28), **size)(law.rsample())
        picture = make_likelihood("bernoulli")(raw)
    assert raw.dtype == torch.bfloat16
    assert law.mean.dtype == law.stddev.dtype == picture.mean.dtype == torch.float32


def test_the_scale_of_an_encoder_is_never_zero():
    encoder = GatedMLPEncoder((1, 2, 2), 3, hidden=(4,))
    torch.nn.init.constant_(encoder.head.scale.bias, -1e4)
    law = encoder(torch.rand(2, 1, 2, 2))
    assert (law.stddev > 0).all()
    assert law.log_prob(law.mean + 1).isfinite().all()


def test_likelihoods_score_what_they_say():
    raw, x = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    probs = raw.sigmoid()
    bernoulli = (x * probs.log() + (1 - x) * (1 - probs).log()).sum((1, 2, 3))
    torch.testing.assert_close(make_likelihood("bernoulli")(raw).log_prob(x), bernoulli)
    gaussian = torch.distributions.Normal(raw, 0.5).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(GaussianLikelihood(initial_scale=0.5)(raw).log_prob(x), gaussian)
    squared = -((x - raw) ** 2).sum((1, 2, 3)) / 3
    torch.testing.assert_close(make_likelihood("squared-error")(raw).log_prob(x), squared)


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "squared-error"])
def test_likelihoods_are_laws_over_images(name):
    law = make_likelihood(name)(torch.randn(2, 3, 4, 4))
    assert (law.batch_shape, law.event_shape) == ((2,), (3, 4, 4))
    assert law.mean.shape == law.sample().shape == (2, 3, 4, 4)
    wide = law.expand((5, 2))
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(wide.log_prob(x), law.log_prob(x).expand(5, 2))
    assert wide.sample((6,)).shape == (6, 5, 2, 3, 4, 4)


def test_binary_pixels_are_drawn_and_values_outside_the_unit_interval_refused():
    law = make_likelihood("bernoulli")(torch.zeros(1, 4, 4))
    assert set(law.sample().unique().tolist()) <= {0.0, 1.0}
    with pytest.raises(ValueError, match="support"):
        law.log_prob(torch.full((1, 4, 4), 1.5))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GatedMLPEncoder((28, 28), 5), r"image_shape: expected \(channels, height, width\), got \(28, 28\)"),
        (lambda: GatedMLPDecoder(0, (1, 8, 8)), "latent_dim: expected an integer of at least 1, got 0"),
        (lambda: ConvEncoder((1, 28, 28), True), "latent_dim: expected an integer of at least 1, got True"),
        (lambda: GatedMLPEncoder((1, 8, 8), 5, hidden=(10, -1)), "hidden: expected an integer of at least 1, got -1"),
        (lambda: ConvEncoder((1, 28, 32), 5), r"expected a square image of side \(28, 32, 64\), got \(1, 28, 32\)"),
        (lambda: ConvDecoder(5, (3, 48, 48)), r"expected a square image of side"),
        (lambda: ConvDecoder(5, (3, 32, 32), channels=0), "channels: expected an integer of at least 1, got 0"),
        (lambda: make_likelihood("poisson"), r"likelihood: expected one of \['bernoulli'.*got 'poisson'"),
        (lambda: GaussianLikelihood(0.0), "initial_scale: expected a positive number, got 0.0"),
    ],
)
def test_bad_sizes(build, message):
    with pytest.raises(ValueError, match=message):
        build()
