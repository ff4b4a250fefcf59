"""Gaussians of vectors: gaps by pattern and in chunks, and where floats run out."""

import time

import oracles
import pytest
import torch
from cases import KINDS, build, make_case, random_gaussians, random_value
from catalogue import NAN
from torch.func import grad, vmap

from pyro_priors.distributions import Variables, gaussians
from pyro_priors.distributions.diagonal_gaussians import DiagonalGaussians
from pyro_priors.distributions.full_gaussians import FullGaussians, log_densities
from pyro_priors.distributions.kinds import Vector
from pyro_priors.distributions.low_rank_gaussians import LowRankGaussians

CLASSES = {"full": FullGaussians, "diagonal": DiagonalGaussians, "low-rank": LowRankGaussians}
every_covariance = pytest.mark.parametrize("covariance", CLASSES)
every_form = pytest.mark.parametrize("form", ["factored", "ring", "train"])


def random_law(covariance, size, states, dtype=torch.float64, seed=0):
    kind = Vector(size, covariance, factors=min(2, size) if covariance == "low-rank" else None)
    law = random_gaussians(kind, states, torch.Generator().manual_seed(seed), torch.float64)
    if covariance == "full":  # many numbers must not blow up
        law = FullGaussians(
            law.loc, law.factor.tril(-1) / size**0.5 + torch.diag_embed(law.factor.diagonal(dim1=1, dim2=2))
        )
    return type(law)(*(x.to(dtype) for x in law.tensors.values()))


def dense(law):
    """As `oracles.dense`, of Gaussians."""
    variables = Variables({"v0": Vector(law.size, components=len(law))}, vectors=[law])
    return oracles.dense(make_case("v")._replace(variables=variables), 0)


def with_gaps(rows, size, share=0.4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    value = torch.randn(rows, size, generator=generator, dtype=torch.float64)
    value[torch.rand(rows, size, generator=generator) < share] = NAN
    return value


def score_and_gradients(law, value):
    leaves = [x.detach().clone().requires_grad_() for x in law.tensors.values()]
    value = value.clone().requires_grad_()
    density = type(law)(*leaves).log_density(value)
    weights = torch.linspace(-1, 1, density.numel(), dtype=density.dtype).view_as(density)
    return density.detach(), torch.autograd.grad((weights * density).sum(), [value, *leaves])


@every_covariance
@pytest.mark.parametrize("size", [1, 5, 24])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
def test_densities_with_gaps_equal_dense_marginals(covariance, size, share):
    """Long vectors with few gaps, and others: each has its own way."""
    law, value = random_law(covariance, size, 3), with_gaps(12, size, share)
    value[0], value[1] = NAN, 0.5
    density = law.log_density(value)
    torch.testing.assert_close(density, oracles.log_vector(*dense(law), value), rtol=1e-10, atol=1e-10)
    assert (density[0] == 0).all()


@pytest.mark.parametrize("covariances", ["full full full", "full diagonal low-rank", "full full small", "full"])
@pytest.mark.parametrize("shape", [(), (1,), (6,), (2, 3)])
@pytest.mark.parametrize("gap", [False, True])
def test_densities_of_several_vectors_are_those_of_each(covariances, shape, gap):
    """Alike or not, with gaps or not: densities and gradients, twice."""
    each = [(5 if name == "small" else 7, "full" if name == "small" else name) for name in covariances.split()]
    laws = [random_law(covariance, size, 3, seed=seed) for seed, (size, covariance) in enumerate(each)]
    leaves = [[x.requires_grad_() for x in law.tensors.values()] for law in laws]
    laws = [type(law)(*own) for law, own in zip(laws, leaves, strict=True)]
    generator = torch.Generator().manual_seed(7)
    values = [torch.randn(*shape, law.size, generator=generator, dtype=torch.float64) for law in laws]
    if gap:
        values[-1].view(-1, laws[-1].size)[0, 1] = NAN
    inputs = [value.requires_grad_() for value in values] + [leaf for own in leaves for leaf in own]

    def scores(density):
        total = (density * torch.linspace(-1, 1, density.numel(), dtype=torch.float64).view_as(density)).sum()
        by_hand = torch.autograd.grad(total, inputs, retain_graph=True)
        first = torch.autograd.grad(total, inputs, create_graph=True)
        second = torch.autograd.grad(sum(x.sin().sum() for x in first), inputs, allow_unused=True)
        return [density, *by_hand, *first, *second]

    together = log_densities(laws, values)
    assert together.shape == (*shape, len(laws), 3)
    apart = torch.stack([law.log_density(value) for law, value in zip(laws, values, strict=True)], -2)
    for ours, theirs in zip(scores(together), scores(apart), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@every_covariance
def test_gradients_of_gaps_equal_dense_ones(covariance):
    law, value = random_law(covariance, 24, 2), with_gaps(8, 24, 0.1)
    value[0], value[1], value[2, ::2] = NAN, 0.5, NAN
    _, ours = score_and_gradients(law, value)
    leaves = [x.detach().clone().requires_grad_() for x in law.tensors.values()]
    point = value.clone().requires_grad_()
    density = oracles.log_vector(*dense(type(law)(*leaves)), point)
    weights = torch.linspace(-1, 1, density.numel(), dtype=density.dtype).view_as(density)
    theirs = torch.autograd.grad((weights * density).sum(), [point, *leaves])
    for actual, expected, leaf in zip(ours, theirs, [point, *leaves], strict=True):
        if leaf.dim() == 3 and covariance == "full":
            actual, expected = actual.tril(), expected.tril()
        torch.testing.assert_close(actual, expected.nan_to_num(), rtol=1e-9, atol=1e-9)


@every_covariance
def test_gaps_have_second_derivatives(covariance):
    law, value = random_law(covariance, 3, 2), with_gaps(4, 3)

    def density(*leaves):
        leaves = [leaf.tril() if leaf.dim() == 3 and covariance == "full" else leaf for leaf in leaves]
        return CLASSES[covariance](*leaves).log_density(value)

    leaves = [x.clone().requires_grad_() for x in law.tensors.values()]
    assert torch.autograd.gradgradcheck(density, leaves)


@every_covariance
def test_patterns_in_chunks_change_nothing(covariance, monkeypatch):
    law, value = random_law(covariance, 6, 3), with_gaps(40, 6)
    whole, expected = score_and_gradients(law, value)
    monkeypatch.setattr(gaussians, "ENTRIES", 3 * 36 * 2)  # two patterns at a time
    chunked, actual = score_and_gradients(law, value)
    torch.testing.assert_close(whole, chunked, rtol=1e-13, atol=1e-13)
    for ours, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-12, atol=1e-12)


@every_covariance
def test_memory_of_many_patterns_is_bounded(covariance, monkeypatch):
    """What autograd keeps of 200 patterns, counted in numbers; without chunks of full covariances ten times as many."""
    law, value = random_law(covariance, 12, 8, torch.float32), with_gaps(200, 12).float()

    def most(entries):
        monkeypatch.setattr(gaussians, "ENTRIES", entries)
        leaves = [x.clone().requires_grad_() for x in law.tensors.values()]
        sizes = []

        def pack(x):
            sizes.append(x.numel())
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            type(law)(*leaves).log_density(value)
        return sum(sizes)

    few, all_of_them = most(8 * 144 * 4), most(2**30)
    assert few <= (0.2 if covariance == "full" else 1.0) * all_of_them


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize(("size", "states"), [(40, 100), (16, 200)])
@every_covariance
def test_eight_patterns_of_gaps_cost_at_most_three_times_as_much(covariance, size, states, share):
    """Densities and their gradients of 1,024 rows, of which two fifths of the numbers are missing, or one number."""
    whole = with_gaps(1024, size, 0.0).float()
    patterns = with_gaps(8, size, share).isnan()
    patterns[range(8), range(8)] = True
    gaps = patterns[torch.arange(1024) % 8]
    law = random_law(covariance, size, states, torch.float32)

    def seconds(value):
        start = time.process_time()
        leaves = [x.clone().requires_grad_() for x in law.tensors.values()]
        type(law)(*leaves).log_density(value).logsumexp(-1).sum().backward()
        return time.process_time() - start

    values = whole, whole.masked_fill(gaps, NAN)
    least = torch.tensor([[seconds(value) for value in values] for _ in range(12)]).amin(0)
    assert least[1] < 3 * least[0] + 0.002


@every_covariance
def test_row_by_row_under_transforms(covariance):
    law, value = random_law(covariance, 4, 3), with_gaps(6, 4)
    value[0] = NAN
    density = law.log_density(value)
    torch.testing.assert_close(vmap(law.log_density)(value), density, rtol=1e-12, atol=1e-12)
    _, (to_value, *_) = score_and_gradients(law, value)
    weights = torch.linspace(-1, 1, density.numel(), dtype=density.dtype).view_as(density)
    rows = vmap(grad(lambda x, w: (law.log_density(x) * w).sum()))(value, weights)
    torch.testing.assert_close(rows, to_value, rtol=1e-10, atol=1e-10)


# ---- where floats run out


@every_covariance
def test_single_precision_far_from_zero(covariance):
    """Means of 2,000 with scales of one, and values a million scales away, with gaps and without."""
    law, value = random_law(covariance, 6, 4), with_gaps(20, 6)
    value[0], value[1:3] = NAN, torch.randn(2, 6).double()
    moved = type(law)(law.loc + 2000, *list(law.tensors.values())[1:])
    narrow = type(law)(*(x.float() for x in moved.tensors.values()))
    single = (value + 2000).float()
    expected = type(law)(*(x.double() for x in narrow.tensors.values())).log_density(single.double())
    torch.testing.assert_close(narrow.log_density(single).double(), expected, rtol=1e-5, atol=1e-3)
    value[2, 0] = value[5, 2] = 1e6
    far, exact = type(law)(*(x.float() for x in law.tensors.values())), value.float()
    expected = type(law)(*(x.double() for x in far.tensors.values())).log_density(exact.double())
    torch.testing.assert_close(far.log_density(exact).double(), expected, rtol=1e-5, atol=1e-4)
    _, gradients = score_and_gradients(far, exact)
    assert all(x.isfinite().all() for x in gradients)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_nearly_singular_covariances(dtype):
    """Two numbers that agree to 1e-4, with a third: densities, marginals, draws and what is imputed."""
    factor = torch.tensor([[1.0, 0, 0], [-1e4, 1e4, 0], [0.5, -0.5, 1.0]]).double()
    law = FullGaussians(torch.zeros(1, 3).to(dtype), factor[None].to(dtype))
    value = torch.tensor([[0.5, 0.5001, 0.2], [NAN, 0.5, 0.2], [0.5, NAN, NAN], [0.5, NAN, 0.1]]).to(dtype)
    expected = oracles.log_vector(*dense(FullGaussians(torch.zeros(1, 3).double(), factor[None])), value.double())
    tolerance = 1e-6 if dtype == torch.float64 else 5e-2
    torch.testing.assert_close(law.log_density(value).double(), expected, rtol=tolerance, atol=tolerance)
    torch.manual_seed(0)
    draws = law.draw(torch.zeros(2000, dtype=torch.long), value[3].expand(2000, -1))
    assert (draws[:, 1] - 0.5).abs().max() < 6e-4
    assert (draws[:, 1] - 0.5).std() > 0.5e-4
    assert (law.conditional_mean(value[3:])[0, 0, 1] - 0.5).abs() < 1e-4
    _, gradients = score_and_gradients(law, value)
    assert all(x.isfinite().all() for x in gradients)


@every_form
@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_many_vectors(form, count):
    torch.manual_seed(0)
    kinds = {f"v{k}": KINDS["v"] for k in range(count)}
    generator = torch.Generator().manual_seed(0)
    vectors = [random_gaussians(KINDS["v"], 3, generator, torch.float32) for _ in kinds]
    variables = Variables(kinds, vectors=vectors)
    tables, bonds = (torch.randn(count, 3, 3, 3),), ()
    if form == "factored":
        tables = torch.randn(3), torch.zeros(count, 3, 3), torch.randn(count - 1, 3, 3)
        bonds = tuple(range(count))
    law = build(tables, variables, form, tuple(range(count)), bonds)
    value = law.sample((4,))
    assert value.shape == (4, 2 * count)
    value[1, ::3], value[2] = NAN, NAN
    pairs = value.double().unflatten(1, (count, 2)).unbind(1)
    leaves = torch.stack([oracles.log_vector(*dense(g), pair) for g, pair in zip(vectors, pairs, strict=True)], 1)
    if form == "factored":
        state = tables[0].double().log_softmax(0) + leaves[:, 0]
        for k in range(1, count):
            state = oracles.log_matmul(state[:, None], tables[2][k - 1].double().log_softmax(-1))[:, 0] + leaves[:, k]
        expected = state.logsumexp(-1)
    else:
        expected = oracles.log_chain(leaves, tables[0], form) - oracles.log_chain(leaves[:1] * 0, tables[0], form)
    torch.testing.assert_close(law.log_prob(value).double(), expected, rtol=1e-5, atol=1e-4)
    assert law.log_prob(value)[2] == 0
    assert law.rsample((2,)).isfinite().all()
    assert law.impute(value).isfinite().all()


@pytest.mark.parametrize("kinds", ["o", "u", "oo", "wD"])
@pytest.mark.parametrize("form", ["factored", "ring"])
def test_one_state_and_one_number(kinds, form):
    case = make_case(kinds, 1, form, dtype=torch.float32)
    value = random_value(case, 5, 0.3)
    torch.testing.assert_close(case.law.log_prob(value).double(), oracles.log_prob(case, value), rtol=1e-4, atol=1e-4)
    assert case.law.sample((2,)).shape == (2, case.variables.width)
    assert case.law.marginal("v0").rsample((2,)).isfinite().all()


@every_form
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_parameters(form, dtype):
    case = make_case("vwc", 3, form, dtype=torch.float32)
    half = case.of([part.to(dtype) for part in case.parts()], validate_args=False)
    wide = case.of([part.to(dtype).float() for part in case.parts()], validate_args=False)
    value = random_value(case, 6, 0.3)
    torch.testing.assert_close(half.law.log_prob(value), wide.law.log_prob(value), rtol=2e-2, atol=2e-2)
    assert half.law.sample((2,)).dtype == half.law.rsample((2,)).dtype == dtype
    assert half.law.log_prob(value.double()).dtype == torch.float64


@every_form
def test_evidence_of_another_precision(form):
    law = make_case("vwc", 3, form, dtype=torch.float32).law
    given = law.condition(v0=torch.zeros(5, 2).double())
    assert given.sample().dtype == given.rsample().dtype == torch.float64
    hidden = torch.full((5, 4), NAN).double()
    hidden[:, 1] = 0.3
    assert given.impute(hidden).isfinite().all()
    assert given.most_probable(hidden).isfinite().all()
