"""Variables with other numbers of states than each other: each costs its own, and nothing else is different."""

import copy

import pytest
import torch
from catalogue import NAN, padded_cores
from torch.utils._python_dispatch import TorchDispatchMode

import pyro_priors as pp
from pyro_priors.distributions import Continuous, Discrete, TensorRing, Variables
from pyro_priors.modules.prior import renewed
from pyro_priors.ops import Cores
from pyro_priors.training import fit_prior

both_boundaries = pytest.mark.parametrize("boundary", ["ring", "train"])
# Groups that meet each other, themselves and nothing in the middle of chains of even and odd length.
KINDS = {
    "one wide": [Continuous(3)] * 6 + [Discrete(30)],
    "one wide, even": [Continuous(3)] * 5 + [Discrete(30)],
    "in turns": [Continuous(3), Discrete(2)] * 3 + [Discrete(5)],
    "as if reflected": [Discrete(2), Continuous(3), Discrete(7), Discrete(7), Continuous(3), Discrete(2)],
    "all different": [Discrete(n) for n in (4, 2, 7, 1, 3)],
    "pairs in runs": [Discrete(2)] * 20 + [Discrete(3)] + [Discrete(2)] * 20,
    "states of one": [Discrete(1), Continuous(3), Continuous(3)],
}

FULL = {"cores": "full", "order": "random"}


def problem(kinds, boundary, dtype=torch.float64, rank=4, order=None):
    """A law on cores that have padding, and one on cores that have none; the padding would change everything."""
    torch.manual_seed(0)
    sizes = [kind.components if isinstance(kind, Continuous) else kind.categories for kind in kinds]
    real = sum(isinstance(kind, Continuous) for kind in kinds)
    padded = torch.randn(len(kinds), max(sizes), rank, rank, dtype=dtype)
    for core, states in zip(padded, sizes, strict=True):
        core[states:] = 50.0
    loc, scale = torch.randn(real, 3, dtype=dtype), torch.rand(real, 3, dtype=dtype) + 0.5
    variables = Variables({f"v{k}": kind for k, kind in enumerate(kinds)}, loc, scale)
    order = torch.randperm(len(kinds)).tolist() if order is None else order
    each = [core[:states].clone().requires_grad_() for core, states in zip(padded, sizes, strict=True)]
    return TensorRing(each, variables, boundary, order), each, padded, variables, order


def as_one_size(padded, variables):
    """The same chain with as many states for all, the absent ones excluded: by the equations of before."""
    widest = max(variables.num_states)
    absent = torch.arange(widest) >= torch.tensor(variables.num_states)[:, None]
    weights = torch.zeros(absent.shape, dtype=padded.dtype).masked_fill(absent, -torch.inf)
    return padded.clone().requires_grad_(), weights


@both_boundaries
@pytest.mark.parametrize("name", KINDS)
def test_the_density_is_that_of_a_chain_of_one_size(name, boundary):
    """Against the contraction of all variables as one group, with gradients and second derivatives' first steps."""
    law, each, padded, variables, order = problem(KINDS[name], boundary)
    value = law.sample((6,))
    value[torch.rand_like(value) < 0.3] = NAN
    cores, weights = as_one_size(padded, variables)
    evidence = variables_evidence(variables, value) + weights
    every = pp.ops.log_contract(evidence, cores, boundary == "ring", tuple(order))
    whole = pp.ops.log_contract(weights[None], cores, boundary == "ring", tuple(order))
    score = law.log_prob(value)
    close(score, every - whole)
    factor = torch.randn(6, dtype=score.dtype)
    wanted = torch.autograd.grad((every - whole) @ factor, cores)[0]
    for create in (False, True):
        actual = torch.autograd.grad(score @ factor, each, retain_graph=True, create_graph=create)
        for k, states in enumerate(variables.num_states):
            close(actual[k], wanted[k, :states])
    probs = pp.ops.state_posterior(evidence, cores.detach(), boundary == "ring", tuple(order))
    close(law.state_probs(value), probs)
    assert (law.state_probs(value)[probs == 0] == 0).all()


def variables_evidence(variables, value):
    """Log-weights of every state that any variable has, column by column: ``(B, D, N)``."""
    widest, columns = max(variables.num_states), []
    for column, states in enumerate(variables.num_states):
        part = variables.log_evidence(value[:, [column]], (column,), states)
        columns.append(torch.nn.functional.pad(part, (0, widest - states)))
    return torch.cat(columns, 1)


def close(a, b):
    torch.testing.assert_close(a.detach(), b.detach(), rtol=1e-9, atol=1e-11)


@both_boundaries
@pytest.mark.parametrize("name", KINDS)
def test_padding_is_left_out(name, boundary):
    """One tensor with padding, D tensors and `Cores`: one law; draws, queries and errors alike."""
    law, each, padded, variables, order = problem(KINDS[name], boundary)
    cores = Cores.from_each([core.detach() for core in each])
    laws = [law, TensorRing(padded, variables, boundary, order), TensorRing(cores, variables, boundary, order)]
    value = law.sample((5,))
    value[torch.rand_like(value) < 0.5] = NAN
    weights = torch.randn(5, len(order), max(variables.num_states), dtype=padded.dtype)
    first = None
    for each_law in laws:
        torch.manual_seed(3)
        weighed = each_law.weigh(weights)
        with torch.no_grad():
            answers = [
                *(each_law.log_prob(value), each_law.sample((4,)), each_law.impute(value), each_law.state_probs(value)),
                *(each_law.most_probable(value), each_law.mean, each_law.variance, weighed.sample(), weighed.mean),
                *(each_law.marginal([0, 2]).log_prob(value[:, [0, 2]]), each_law.condition(v1=value[:, 1]).mean),
            ]
        first = first or answers
        for ours, theirs in zip(answers, first, strict=True):
            torch.testing.assert_close(ours, theirs, equal_nan=True)
    probs = law.state_probs(value)
    assert all((probs[:, k, states:] == 0).all() for k, states in enumerate(variables.num_states))
    assert torch.equal(torch.stack(list(cores[2:3]))[0], each[2])
    torch.testing.assert_close(probs.sum(-1), torch.ones_like(value))
    gaps = value.isnan() & torch.tensor([isinstance(kind, Discrete) for kind in KINDS[name]])
    assert torch.equal(law.most_probable(value)[gaps], probs.argmax(-1)[gaps].to(value))


@both_boundaries
def test_pathwise_gradients(boundary):
    """Of a law with wide and narrow leaves beside a category that is summed out: those of the padded one."""
    kinds = [Continuous(3), Discrete(9), Continuous(2), Continuous(3)]
    results = []
    for use_padding in (True, False):
        _, each, padded, variables, order = problem(kinds, boundary)
        cores = padded.requires_grad_() if use_padding else each
        torch.manual_seed(1)
        draws = TensorRing(cores, variables, boundary, order).marginal(["v0", "v2", "v3"]).rsample((7,))
        results.append((draws, *torch.autograd.grad(draws.square().sum(), cores)))
    (draws, of_all), (same, *of_each) = results
    close(draws, same)
    for k, states in enumerate((3, 9, 2, 3)):
        close(of_all[k, :states], of_each[k])


class Sizes(TorchDispatchMode):
    """How many numbers all operations wrote, and the most that one did."""

    def __init__(self):
        super().__init__()
        self.written = self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(x, torch.Tensor) and not func.is_view:
                self.written += x.numel()
                self.largest = max(self.largest, x.numel())
        return result


def cost(*priors, rows=32):
    """Of a step of training and a draw with each of the priors."""
    total = [0, 0]
    for prior in priors:
        value = prior().sample((rows,))
        with Sizes() as sizes:
            prior().log_prob(value).sum().backward()
            prior().sample((rows,))
            prior().state_probs(value)  # its answer is as wide as the widest
        total = [total[0] + sizes.written, max(total[1], sizes.largest)]
    return sum(p.numel() for prior in priors for p in prior.parameters()), *total


@both_boundaries
@pytest.mark.parametrize("many", [200, 1000])
def test_every_variable_costs_its_own_size(many, boundary):
    torch.manual_seed(0)
    wide = {"wide": Discrete(many)}
    narrow = {f"n{k}": Discrete(2) for k in range(7)}
    whole = pp.TTLP(16, wide | narrow, rank=8, boundary=boundary, **FULL)
    parts = [pp.TTLP(16, {}, rank=8, boundary=boundary, **FULL)]
    parts += [pp.TTLP(0, attributes, rank=8, boundary=boundary, **FULL) for attributes in (wide, narrow)]
    together, apart = cost(whole), cost(*parts)
    assert together[0] == apart[0] == (16 * 10 + many + 14) * 64 + 2 * 160
    answer = 32 * (16 + 1 + 7) * many  # what `state_probs` returns
    assert together[1] < 1.3 * apart[1] + 4 * answer
    assert together[2] <= max(1.3 * apart[2], answer)


def test_what_is_learned_is_learned_with_ragged_cores():
    """EM from codes, attributes and gaps; in place; then the gradient."""
    torch.manual_seed(0)
    label = torch.randint(40, (2000, 1)).float()
    z = torch.where(label % 2 == 0, -1.5, 1.5) + 0.4 * torch.randn(2000, 3)
    y = torch.cat([label, label % 2, z[:, :1] ** 2], -1)
    y[torch.rand_like(y) < 0.2] = NAN
    kinds = {"wide": Discrete(40), "odd": Discrete(2), "square": Continuous(4)}
    prior = pp.TTLP(3, kinds, components=3, rank=4, **FULL)
    addresses = [p.data_ptr() for p in prior.parameters()]
    assert prior.reinitialize(z, y)
    assert addresses == [p.data_ptr() for p in prior.parameters()]
    hidden = torch.cat([z, y], -1)
    hidden[:, 4] = NAN
    known = ~y[:, 1].isnan()
    assert ((prior().most_probable(hidden)[:, 4] == y[:, 1])[known]).float().mean() > 0.98
    before = prior().log_prob(torch.cat([z, y], -1)).mean()
    fit_prior(prior, z, y, epochs=3)
    assert prior().log_prob(torch.cat([z, y], -1)).mean() > before - 1e-3  # the start may be the best that there is
    noise = pp.TTLP(3, kinds, components=3, rank=4, init="noise", **FULL)
    cores = noise.log_cores.clone()
    assert noise.reinitialize(z, y)
    assert noise.log_cores.shape == cores.shape == (6 * 3 - 9 + 40 + 2 + 4, 4, 4)
    assert not torch.equal(noise.log_cores, cores)


def padded_state(prior):
    """The weights as versions of before kept them."""
    padded = padded_cores(prior)
    padded[padded == 0] = -3.0
    return {**prior.state_dict(), "log_cores": padded}


def test_files_with_padding_load(tmp_path):
    torch.manual_seed(0)
    prior = pp.TTLP(2, {"wide": Discrete(9), "sex": Discrete(2)}, components=3, rank=2, **FULL)
    value, state = prior().sample((5,)), padded_state(prior)
    other = pp.TTLP(2, {"wide": Discrete(9), "sex": Discrete(2)}, components=3, rank=2, **FULL)
    kept = copy.copy(state)
    other.load_state_dict(state)
    assert all(state[name] is kept[name] for name in kept)
    assert torch.equal(other().log_prob(value), prior().log_prob(value))
    model = torch.nn.ModuleDict({"encoder": torch.nn.Linear(2, 2), "prior": other})
    with torch.no_grad():
        other.log_cores.zero_()
    weights = renewed(model, {**model.state_dict(), **{f"prior.{name}": x for name, x in state.items()}})
    model.load_state_dict(weights)
    assert torch.equal(other().log_prob(value), prior().log_prob(value))
    with pytest.raises(RuntimeError, match="size mismatch for log_cores"):
        other.load_state_dict({**state, "log_cores": state["log_cores"][:, :8]})


BAD = {
    "too few tensors": (
        lambda x, v: TensorRing(x[:1], v),
        "log_cores: expected 2 tensors, one for each variable, got 1",
    ),
    "too few states": (
        lambda x, v: TensorRing([x[0], x[1][:3]], v),
        r"log_cores\[1\]: expected shape \(4, m, n\) with m, n >= 1, got \(3, 2, 2\)",
    ),
    "another rank": (
        lambda x, v: TensorRing([x[0], x[1][:, :1, :1]], v),
        r"log_cores\[1\]: expected 2 rows, as many as",
    ),
    "another dtype": (lambda x, v: TensorRing([x[0], x[1].double()], v), r"log_cores\[1\]: expected floats of one"),
    "integers": (lambda x, v: TensorRing([x[0].long(), x[1].long()], v), r"log_cores\[0\]: expected floats of one"),
    "not finite": (lambda x, v: TensorRing([x[0], x[1] / 0], v), "log_cores: expected finite values"),
    "no tensors": (lambda x, v: TensorRing([1.0, 2.0], v), "log_cores: expected a tensor of floats, got list"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_cores(case):
    call, message = BAD[case]
    variables = Variables({"a": Discrete(2), "b": Discrete(4)})
    with pytest.raises(ValueError, match=message):
        call([torch.rand(2, 2, 2), torch.rand(4, 2, 2)], variables)
