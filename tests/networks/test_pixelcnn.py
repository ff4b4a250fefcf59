"""The autoregressive decoder: what a pixel sees, that its law is one, and that its draws are of that law."""

import itertools

import pytest
import torch

from pyro_priors.networks import PixelCNNDecoder
from pyro_priors.networks.pixelcnn import MaskedConvolution
from pyro_priors.programs import AutoregressivePixels, BernoulliLikelihood, GaussianLikelihood
from pyro_priors.programs.autoregressive import pixel_law

SHAPE = (1, 2, 3)
STATES = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6))).view(64, *SHAPE)


def strong(shape=SHAPE, layers=3, seed=0):
    """Weights large enough that pixels depend on each other."""
    torch.manual_seed(seed)
    decoder = PixelCNNDecoder(2, shape, channels=4, layers=layers, hidden=(8,), planes=2)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(3)
    return decoder


def law_of(decoder, *batch):
    return pixel_law(decoder, BernoulliLikelihood(), torch.randn(*batch, 2))


def test_no_pixel_sees_itself_or_a_later_one():
    decoder = strong((2, 5, 6)).double()
    x = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    planes = decoder(torch.randn(1, 2, dtype=torch.float64))
    raw = decoder.raw(x, planes).flatten(2)
    seen = torch.zeros(30, 30, dtype=torch.bool)  # by each pixel, of each
    for i in range(30):
        (gradient,) = torch.autograd.grad(raw[0, :, i].sum(), x, retain_graph=True)
        seen[i] = (gradient[0].flatten(1) != 0).any(0)
    assert not seen.triu().any()
    assert all(seen[i, i - 1] for i in range(1, 30) if i % 6)  # the one before it
    assert all(seen[i, i - 6] for i in range(6, 30))  # and the one above


@pytest.mark.parametrize("layers", [1, 3])
def test_probabilities_of_all_images_sum_to_one(layers):
    law = law_of(strong(layers=layers), 3)
    with torch.no_grad():
        log_probs = law.log_prob(STATES.unsqueeze(1))
    torch.testing.assert_close(log_probs.logsumexp(0), torch.zeros(3), atol=1e-5, rtol=0)
    probs = log_probs[:, 0].exp().double()
    pixels = STATES.flatten(1).double()
    ones = probs @ pixels
    joint = torch.einsum("s,si,sj->ij", probs, pixels, pixels) - ones.outer(ones)
    assert (joint - joint.diagonal().diag()).abs().max() > 5e-4  # no product of independent pixels


def test_a_product_of_conditionals_by_hand():
    decoder = strong()
    law = law_of(decoder, 1)
    x = STATES[37:38]
    total = 0.0
    for i in range(6):  # of the probability of a pixel, with all later ones set to nonsense
        before = torch.where(torch.arange(6).view(SHAPE) < i, x, 7.0)
        p = decoder.raw(before, law.planes).sigmoid().flatten()[i]
        total += (p if x.flatten()[i] == 1 else 1 - p).log()
    torch.testing.assert_close(law.log_prob(x), total.view(1))


def test_draws_have_the_probabilities_of_their_states():
    """20,000 draws against the 64 states: a chi-squared of 63 degrees is above 115 for 1 seed in 16,000."""
    law = pixel_law(strong(), BernoulliLikelihood(), torch.tensor([0.4, -1.0]))
    drawn = law.sample((20_000,))
    places = (drawn.flatten(1) @ (2.0 ** torch.arange(5, -1, -1))).long()
    expected = 20_000 * law.log_prob(STATES).exp().detach().double()
    counts = places.bincount(minlength=64).double()
    large = expected >= 5
    counts, expected = (torch.cat([v[large], v[~large].sum()[None]]) for v in (counts, expected))
    assert ((counts - expected).square() / expected.clamp(min=1e-9)).sum() < 115
    exact = law.log_prob(STATES).exp() @ STATES.flatten(1)
    means = torch.stack([law.mean for _ in range(300)]).flatten(1)
    assert ((means.mean(0) - exact).abs() < 5 * means.std(0) / 300**0.5 + 1e-5).all()  # 1 seed in 300,000 fails
    assert means.std(0)[-1] > 0  # drawn, not known


@pytest.mark.parametrize("likelihood", [BernoulliLikelihood(), GaussianLikelihood(0.5)])
def test_pixel_by_pixel_is_all_at_once(likelihood):
    decoder = strong((2, 9, 8), layers=4)
    planes = decoder(torch.randn(501, 2)).detach()  # more than are drawn at a time
    x, raw = decoder.draw(planes, likelihood)
    torch.testing.assert_close(raw, decoder.raw(x, planes).detach(), atol=1e-4, rtol=1e-4)
    if isinstance(likelihood, BernoulliLikelihood):
        assert set(x.unique().tolist()) == {0.0, 1.0}


def test_shapes_of_draws_densities_and_expansions():
    law = law_of(strong(), 4, 3)
    assert law.batch_shape == (4, 3)
    assert law.event_shape == SHAPE
    x = law.sample((5,))
    assert x.shape == (5, 4, 3, *SHAPE)
    assert law.mean.shape == (4, 3, *SHAPE)
    assert law.log_prob(x).shape == (5, 4, 3)
    torch.testing.assert_close(law.expand((2, 4, 3)).log_prob(x[0]), law.log_prob(x[0]).expand(2, 4, 3))
    assert law.expand((2, 4, 3)).sample().shape == (2, 4, 3, *SHAPE)
    one = law_of(strong(), 3)
    torch.testing.assert_close(one.log_prob(x[0, 0]), torch.stack([one.log_prob(x[0, 0, i])[i] for i in range(3)]))
    assert not law.has_rsample
    with pytest.raises(ValueError, match="support"):
        AutoregressivePixels(one.decoder, one.planes, one.likelihood, validate_args=True).log_prob(x[0, 0] + 2)
    assert one.log_prob(0.5 * x[0, 0]).isfinite().all()


def test_gradients_reach_every_weight():
    decoder = strong()
    pixel_law(decoder, BernoulliLikelihood(), torch.randn(64, 2)).log_prob(STATES).sum().backward()
    assert all((parameter.grad != 0).any() for parameter in decoder.parameters())


def test_masks():
    assert MaskedConvolution(1, 1, 3, itself=False).mask.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert MaskedConvolution(1, 1, 3).mask.tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
    assert "mask" not in MaskedConvolution(1, 1, 3).state_dict()
