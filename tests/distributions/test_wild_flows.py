"""Numbers of flows: steep, far and wild ones are undone, or refused; nothing is kept between calls."""

import pyro.distributions as dist
import pytest
import torch
from flows import bent, both

import pyro_priors as pp
from pyro_priors.distributions.flow_normal import forgetful
from pyro_priors.ops import rational_spline


def wild(transform, scale, dtype, layers=2):
    """Couplings with weights of any size."""
    torch.manual_seed(0)
    prior = pp.FlowNormal(4, layers=layers, hidden=(16,), transform=transform)
    with torch.no_grad():
        for parameter in prior.couplings.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
    return prior.to(dtype)


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_representations_lead_back_or_are_refused(transform, dtype):
    """Weights from nothing to wild, values from 1e-6 to 1e6: within 0.001 (1 + |z_0|), or a sentence; never NaN."""
    refused = []
    for scale in (0.1, 0.3, 1.0, 3.0, 1e3):
        for far in (1e-6, 1.0, 1e3, 1e6):
            prior, z0 = wild(transform, scale, dtype), far * torch.randn(200, 4, dtype=dtype)
            with torch.no_grad():
                try:
                    z = prior.to_representation(z0)
                except ValueError as error:
                    refused.append((scale, far, str(error)))
                    continue
                off = (prior.to_generation(z) - z0).abs() / (1 + z0.abs())
            assert off.max() <= 1e-3
    assert not [scale for scale, far, _ in refused if scale == 0.1 and far <= 1]
    assert refused  # it is no matter of luck
    assert all("z: expected rows that g maps back to within 0.001" in message for *_, message in refused)


@both
def test_draws_of_both_precisions_agree(transform):
    """float32 draws are the float64 ones rounded, in a spline that is as steep as a trained one."""
    prior = wild(transform, 0.25, torch.float32, layers=4)
    z0 = torch.randn(2000, 4)
    with torch.no_grad():
        narrow, wide = prior.to_representation(z0), prior.double().to_representation(z0.double())
    exact = transform == "spline"  # computed in float64 from end to end
    torch.testing.assert_close(narrow.double(), wide, atol=1e-7 if exact else 1e-5, rtol=1.2e-7 if exact else 1e-5)


@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0, 1e3])
def test_one_spline_coupling_is_inverted_exactly(scale):
    """Up to float64's roundings times the steepest slope; both ways agree on the determinant."""
    coupling = forgetful(wild("spline", scale, torch.float64, layers=1).couplings[0])
    x = torch.cat([torch.randn(500, 4), 5 * torch.randn(500, 4), 1e6 * torch.randn(9, 4), torch.full((1, 4), 5.0)])
    x = x.double()
    y = forgetful(coupling)(x)
    back = forgetful(coupling).inv(y)
    log_slope = _log_slopes(coupling, x)
    assert log_slope.isfinite().all()
    bound = 1e-13 * (1 + x[:, 2:].abs()) * (1 + (-log_slope).exp())
    assert ((back - x)[:, 2:].abs() <= bound).all()
    assert torch.equal(back[:, :2], x[:, :2])
    _, inverse = _bent(coupling, y, inverse=True)
    _, straight = _bent(coupling, back, inverse=False)
    torch.testing.assert_close(inverse, -straight, atol=1e-4, rtol=1e-4)


def test_the_spline_is_monotone_and_that_of_pyro():
    """Where Pyro's float64 has no trouble: the same values and slopes; everywhere: rising, with its own derivative."""
    from pyro.distributions.transforms.spline import _monotonic_rational_spline

    torch.manual_seed(0)
    x = torch.linspace(-6, 6, 801, dtype=torch.float64).requires_grad_()
    shape = [torch.randn(count).double() for count in (8, 8, 7, 8)]
    widths, heights = shape[0].softmax(-1), shape[1].softmax(-1)
    parts = [p.expand(801, -1) for p in (widths, heights, torch.nn.functional.softplus(shape[2]), shape[3].sigmoid())]
    y, log_slope = rational_spline(x, *parts, 5.0)
    theirs, slopes = _monotonic_rational_spline(x.detach(), *parts, bound=5.0)
    torch.testing.assert_close(y, theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(log_slope, slopes, atol=1e-3, rtol=0)
    assert (y.diff() > 0).all()
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(gradient.log(), log_slope, atol=1e-10, rtol=0)
    back, inverse = rational_spline(y.detach(), *parts, 5.0, inverse=True)
    torch.testing.assert_close(back, x.detach(), atol=1e-12, rtol=0)
    torch.testing.assert_close(inverse, -log_slope.detach(), atol=1e-10, rtol=0)


def test_gradients_of_a_spline_are_finite_at_its_knots_and_beyond():
    prior = wild("spline", 0.3, torch.float64)
    z = torch.tensor([[5.0, -5.0, 5.0, -5.0], [0.0, 0.0, 0.0, 0.0], [7.0, 1e6, -7.0, 5.0]]).double().requires_grad_()
    prior().log_prob(z).sum().backward()
    assert z.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in prior.parameters())
    prior().rsample((50,)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in prior.parameters())


@both
def test_draws_of_a_flow_that_overflows_are_refused(transform):
    prior = wild(transform, 1e3 if transform == "spline" else 1e15, torch.float32, layers=4)
    with pytest.raises(
        ValueError, match=r"z: expected rows that g maps back to .*the flow is too steep there for torch.fl"
    ):
        prior().sample((100,))


def test_a_law_keeps_nothing_between_calls():
    """Neither a value nor a gradient: not in its transforms, nor in those of the module."""
    prior = bent(3, "affine")
    law = prior()
    law.log_prob(law.rsample((4,)))
    for step in (*law.transforms, *prior.couplings):
        for part in (step, step.inv):
            assert getattr(part, "_cached_x_y", (None, None)) == (None, None)


def test_transforms_within_transforms_are_forgotten_too():
    """Those of others, which remember: composed ones, and couplings with a spline below the split."""
    torch.manual_seed(0)
    spline = dist.transforms.spline_coupling(4, 2, [8])
    steps = [dist.transforms.ComposeTransform([spline, dist.transforms.Permute(torch.tensor([2, 3, 0, 1]))])]
    law = pp.distributions.FlowNormal(dist.Normal(torch.zeros(4), 1.0).to_event(1), steps)
    z = law.sample((5,))
    before = law.log_prob(z)
    assert spline._cached_x_y == spline.lower_spline._cached_x_y == (None, None)
    with torch.no_grad():
        for parameter in spline.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    after = law.log_prob(z)
    assert not torch.allclose(before, after)
    again = pp.distributions.FlowNormal(dist.Normal(torch.zeros(4), 1.0).to_event(1), steps)
    assert torch.equal(after, again.log_prob(z.clone()))


def _bent(coupling, x, inverse):
    twin = forgetful(coupling)
    moved = (twin.inv if inverse else twin)(x)
    return moved, twin._cache_log_detJ if not inverse else -twin._cache_log_detJ


def _log_slopes(coupling, x):
    return _bent(coupling, x, inverse=False)[1]
