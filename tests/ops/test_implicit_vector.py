"""Pathwise gradients of vectors from mixtures of Gaussians, against their definition and exact gradients."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical
from torch.testing import assert_close

from pyro_priors.ops import implicit_vector, mixture_pathwise
from pyro_priors.ops.implicit_vector import mills_ratio, pathwise_vector


def mixture(states: int, size: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, ...]:
    """Log-weights, loc and factor."""
    torch.manual_seed(seed)
    below = 0.5 * torch.randn(states, size, size, dtype=dtype).tril(-1)
    factor = below + torch.diag_embed(torch.rand(states, size, dtype=dtype) + 0.7)
    leaves = torch.randn(states, dtype=dtype), torch.randn(states, size, dtype=dtype), factor
    return tuple(leaf.requires_grad_() for leaf in leaves)


def drawn(rows: int, log_weights: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
    with torch.no_grad():
        states = Categorical(logits=log_weights.expand(rows, -1)).sample()
        noise = torch.randn(rows, loc.shape[1], 1, dtype=loc.dtype)
        return loc[states] + torch.linalg.solve_triangular(factor[states], noise, upper=False)[..., 0]


def conditional_cdf(value: Tensor, before: Tensor, log_weights: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
    """F_i(x_i given x_<i) by dense covariances: ``(B,), (B, i), (N,), (N, n), (N, n, n) -> (B,)``"""
    i, covariance = before.shape[1], (factor.mT @ factor).inverse()
    off, mean, variance = before[:, None] - loc[:, :i], loc[:, i], covariance[:, i, i]
    if i:
        marginal = torch.distributions.MultivariateNormal(loc[:, :i], covariance[:, :i, :i], validate_args=False)
        log_weights = log_weights + marginal.log_prob(before[:, None])
        gain = torch.linalg.solve(covariance[:, :i, :i], covariance[:, :i, i])
        mean, variance = mean + (off * gain).sum(-1), variance - (covariance[:, i, :i] * gain).sum(-1)
    standard = (value[:, None] - mean) / variance.sqrt()
    return (log_weights.softmax(-1) * torch.special.ndtr(standard)).sum(-1)


def by_definition(draws: Tensor, *parameters: Tensor) -> Tensor:
    """The surrogate of implicit reparameterisation, a coordinate at a time."""
    result = draws[:, :0]
    for column in draws.unbind(-1):
        point = column.clone().requires_grad_()
        cdf = conditional_cdf(point, result.detach(), *(x.detach() for x in parameters))
        (density,) = torch.autograd.grad(cdf.sum(), point)
        cdf = conditional_cdf(column, result, *parameters)
        result = torch.cat([result, (column - (cdf - cdf.detach()) / density)[:, None]], -1)
    return result


def gradients(make, draws: Tensor, parameters: tuple[Tensor, ...], seed: int = 1) -> list[Tensor]:
    """Of a random combination of the values; what lies above the diagonal of a factor is nobody's."""
    values = make(draws, *parameters)
    assert (values == draws).all()
    weights = torch.randn(draws.shape, generator=torch.Generator().manual_seed(seed)).to(draws)
    result = torch.autograd.grad((values * weights).sum(), parameters)
    return [x.tril() if x.dim() == 3 else x for x in result]


def ordinary(draws: Tensor, *parameters: Tensor) -> Tensor:
    return implicit_vector._by_autograd(draws, parameters[0].expand(len(draws), -1), *parameters[1:])


@pytest.mark.parametrize("make", [pathwise_vector, ordinary])
@pytest.mark.parametrize(("states", "size"), [(1, 3), (4, 1), (3, 4)])
def test_gradients_are_those_of_the_conditional_distribution_functions(make, states, size):
    parameters = mixture(states, size)
    draws = drawn(5, *parameters)
    for ours, other in zip(
        gradients(make, draws, parameters), gradients(by_definition, draws, parameters), strict=True
    ):
        assert_close(ours, other, rtol=1e-10, atol=1e-11)


def test_values_move_as_the_inverse_of_the_distribution_functions():
    """Differences of draws with held uniforms, results by bisection."""
    parameters = tuple(x.detach() for x in mixture(3, 3))
    draws = drawn(4, *parameters)
    uniforms = [conditional_cdf(draws[:, i], draws[:, :i], *parameters) for i in range(3)]
    directions = [torch.randn_like(x) for x in parameters]
    directions[2] = directions[2].tril()

    def moved(step: float) -> Tensor:
        new, result = [x + step * way for x, way in zip(parameters, directions, strict=True)], draws[:, :0]
        for uniform in uniforms:
            low, high = torch.full_like(uniform, -50.0), torch.full_like(uniform, 50.0)
            for _ in range(60):
                middle = (low + high) / 2
                below = conditional_cdf(middle, result, *new) < uniform
                low, high = torch.where(below, middle, low), torch.where(below, high, middle)
            result = torch.cat([result, low[:, None]], -1)
        return result

    rates = (moved(1e-5) - moved(-1e-5)) / 2e-5
    jacobians = torch.func.jacrev(lambda *x: pathwise_vector(draws, *x), argnums=(0, 1, 2))(*parameters)
    products = zip(jacobians, directions, strict=True)
    assert_close(sum((jacobian * way).flatten(2).sum(-1) for jacobian, way in products), rates, rtol=1e-6, atol=1e-7)


def test_one_state_moves_as_its_own_transform():
    log_weights, loc, factor = mixture(1, 4)
    draws = drawn(6, log_weights, loc, factor)
    noise = ((draws - loc) @ factor[0].T).detach()[..., None]

    def transformed(draws, log_weights, loc, factor):
        values = loc[0] + torch.linalg.solve_triangular(factor.expand(6, -1, -1), noise, upper=False)[..., 0]
        return draws + (values - values.detach()) + 0 * log_weights.sum()

    results = gradients(pathwise_vector, draws, (log_weights, loc, factor))
    for ours, other in zip(results, gradients(transformed, draws, (log_weights, loc, factor)), strict=True):
        assert_close(ours, other, rtol=1e-11, atol=1e-11)


def test_diagonal_factors_are_the_mixture_of_independent_normals():
    log_weights, loc, _ = mixture(4, 3)
    scale = (torch.rand(4, 3).double() + 0.5).requires_grad_()
    draws = drawn(7, log_weights, loc, torch.diag_embed(1 / scale))
    results = gradients(
        lambda x, w, a, b: pathwise_vector(x, w, a, torch.diag_embed(1 / b)), draws, (log_weights, loc, scale)
    )
    for ours, other in zip(results, gradients(mixture_pathwise, draws, (log_weights, loc, scale)), strict=True):
        assert_close(ours, other, rtol=1e-10, atol=1e-11)


def test_rows_have_weights_of_their_own_and_go_in_parts(monkeypatch):
    _, loc, factor = mixture(3, 4)
    log_weights = torch.randn(7, 3).double().requires_grad_()
    draws = drawn(7, log_weights, loc, factor)
    whole = gradients(pathwise_vector, draws, (log_weights, loc, factor))
    for row in range(7):
        parameters = (log_weights[row].detach().requires_grad_(), loc, factor)
        alone = torch.autograd.grad(pathwise_vector(draws[row : row + 1], *parameters).sum(), parameters[0])[0]
        again = torch.autograd.grad(pathwise_vector(draws, log_weights, loc, factor)[row].sum(), log_weights)[0]
        assert_close(alone, again[row])
    monkeypatch.setattr(implicit_vector, "CHUNK", 25)  # two rows
    for ours, other in zip(gradients(pathwise_vector, draws, (log_weights, loc, factor)), whole, strict=True):
        assert_close(ours, other)
    none = pathwise_vector(draws[:0], log_weights[:0], loc, factor)
    assert all((x == 0).all() for x in torch.autograd.grad(none.sum(), (log_weights, loc, factor)))


def test_expected_costs_have_unbiased_gradients():
    """Each of 29 entries within 5 standard errors of 200 batches: at random, one seed in 50,000 fails."""
    parameters = mixture(3, 3)
    log_weights, loc, factor = parameters
    square, line, wave = torch.randn(3, 3).double(), torch.randn(3).double(), torch.randn(3).double()

    def cost(x):
        return ((x @ square) * x).sum(-1) + x @ line + 3 * (x @ wave).cos()

    covariance = (factor.mT @ factor).inverse()
    of_states = (covariance * square.T).sum((1, 2)) + ((loc @ square) * loc).sum(-1) + loc @ line
    of_states = of_states + 3 * (loc @ wave).cos() * (-0.5 * (covariance @ wave) @ wave).exp()
    exact = torch.autograd.grad((log_weights.softmax(0) * of_states).sum(), parameters)
    batches = []
    for _ in range(200):
        values = pathwise_vector(drawn(500, *parameters), *parameters)
        batches.append(torch.autograd.grad(cost(values).mean(), parameters))
    entries = 0
    for truth, *each in zip(exact, *batches, strict=True):
        stacked = torch.stack(each)
        error, spread = stacked.mean(0) - truth.tril() if truth.dim() == 3 else stacked.mean(0) - truth, stacked.std(0)
        assert (error.abs() <= 5 * spread / math.sqrt(200) + 1e-12).all()
        entries += int((spread > 0).sum())
    assert entries == 3 + 9 + 18


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_tails_without_density_have_the_right_gradient(sign):
    """The last state reaches furthest: 50 standard deviations out, p is e^-1250 and it alone is there."""
    log_weights = torch.tensor([0.0, 0.5, -1.0]).double().requires_grad_()
    loc = torch.tensor([[0.0], [-sign], [sign]]).double().requires_grad_()
    factor = torch.tensor([1.0, 2.0, 1.0]).double().view(3, 1, 1).requires_grad_()
    draws = torch.tensor([[sign * 51.0]]).double()
    values = pathwise_vector(draws, log_weights, loc, factor)
    of_weights, of_loc, of_factor = torch.autograd.grad(values.sum(), (log_weights, loc, factor))
    assert_close(of_loc[:, 0], torch.tensor([0.0, 0.0, 1.0]).double(), rtol=0, atol=1e-12)
    assert_close(of_factor[:, 0, 0], torch.tensor([0.0, 0.0, -sign * 50]).double(), rtol=1e-12, atol=1e-12)
    weight = log_weights.detach().softmax(0)[2]  # dx/dl_s = +- (1{s = 2} - w_s) Q / phi at 50
    expected = sign * (torch.tensor([0.0, 0.0, 1.0]).double() - log_weights.detach().softmax(0)) * (1 / 50 - 1 / 50**3)
    assert_close(of_weights, expected, rtol=2e-6, atol=0)
    assert 0 < weight < 1


def test_single_precision_agrees_far_from_the_origin_too():
    wide = mixture(5, 6)
    wide = (wide[0].detach(), (wide[1].detach() + 1000).float().double(), wide[2].detach().float().double())
    draws = drawn(50, *wide).float()
    exact = gradients(pathwise_vector, draws.double(), tuple(x.requires_grad_() for x in wide))
    narrow = tuple(x.detach().float().requires_grad_() for x in wide)
    for ours, other in zip(gradients(pathwise_vector, draws, narrow), exact, strict=True):
        assert ours.dtype == torch.float32
        assert_close(ours.double(), other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_extremes_stay_finite():
    log_weights, loc, factor = (x.detach().float() for x in mixture(4, 3))
    log_weights[3] = -torch.inf  # a state that does not occur
    loc[1], factor[1] = loc[0], factor[0]  # two that coincide
    factor[2] *= 1e4
    loc[2] += 1e3
    draws = torch.cat([drawn(20, log_weights, loc, factor), torch.tensor([[500.0] * 3, [-1e6] * 3, [1e3, 0, -1e3]])])
    results = gradients(pathwise_vector, draws, tuple(x.requires_grad_() for x in (log_weights, loc, factor)))
    assert all(x.isfinite().all() for x in results)
    assert results[0][3] == 0
    assert (results[1][3] == 0).all()
    near = gradients(pathwise_vector, draws[:20], (log_weights, loc, factor))
    share = (log_weights[0] - log_weights[1]).exp().detach()
    assert_close(near[1][0], near[1][1] * share, rtol=1e-3, atol=1e-4)


def test_mills_ratio():
    x = torch.linspace(0, 60, 2001).double()
    exact = math.sqrt(math.pi / 2) * torch.special.erfcx(x / math.sqrt(2))
    assert_close(mills_ratio(x), exact, rtol=2e-12, atol=0)
    assert_close(mills_ratio(x.float()).double(), exact, rtol=2e-5, atol=0)


def test_transforms_and_their_limits():
    parameters = mixture(3, 4)
    draws = drawn(6, *parameters)
    expected = torch.autograd.grad(pathwise_vector(draws, *parameters).square().sum(), parameters)
    for ours, other in zip(
        torch.func.grad(lambda *x: pathwise_vector(draws, *x).square().sum(), argnums=(0, 1, 2))(*parameters),
        expected,
        strict=True,
    ):
        assert_close(ours, other, rtol=1e-10, atol=1e-11)
    each = torch.func.vmap(lambda x: pathwise_vector(x[None], *parameters)[0])(draws)
    assert_close(each, draws, rtol=0, atol=0)
    values = pathwise_vector(draws, *parameters).square().sum()
    (first,) = torch.autograd.grad(values, parameters[1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
