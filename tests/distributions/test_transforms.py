"""Laws of every prior under `torch.func` and `torch.jit.trace`: what ordinary autograd says of them."""

import copy

import pyro
import pyro.distributions as dist
import pytest
import torch
from cases import make_case
from catalogue import JOINT_PRIORS, NAN, PRIORS
from pyro.infer import JitTrace_ELBO, Trace_ELBO
from pyro.util import ignore_jit_warnings
from torch import nn
from torch.func import functional_call, grad, hessian, jacrev, vmap

import pyro_priors as pp

ALL = PRIORS | JOINT_PRIORS
# That `torch.jit` is no longer developed is Pyro's business.
IGNORED = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")


class LogProb(nn.Module):
    """The density of a prior's law, as `functional_call` wants it."""

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    def forward(self, value):
        return self.prior().log_prob(value)


def problem(name):
    """A prior in float64 and values, some of them missing where that may be."""
    torch.manual_seed(0)
    entry = ALL[name]
    prior = entry().double()
    value = prior().sample((3,)).detach()
    if entry.missing:
        value[0, : max(entry.together, 1)] = value[1] = NAN
    return prior, value


def ordinary(prior, value):
    """Densities, their gradients with respect to values, and of their sum with respect to parameters."""
    value = value.clone().requires_grad_()
    score = prior().log_prob(value)
    to_value, *to_parameters = torch.autograd.grad(
        score.sum(), [value, *prior.parameters()], allow_unused=True, materialize_grads=True
    )
    return score.detach(), to_value, to_parameters


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_over_values(name):
    prior, value = problem(name)
    score, to_value, _ = ordinary(prior, value)
    law = prior()
    close(vmap(law.log_prob)(value), score)
    if not to_value.any() and not prior.latent_dim:  # attributes alone: nothing to differentiate
        return
    close(grad(law.log_prob)(value[0]), to_value[0])
    close(vmap(grad(law.log_prob))(value), to_value)
    close(jacrev(law.log_prob)(value).diagonal(dim1=0, dim2=1).T, to_value)
    with torch.no_grad():  # nothing that belongs to a transform is kept
        close(law.log_prob(value), score)
        close(prior().log_prob(value), score)


@IGNORED  # torch's own forward mode uses it
@pytest.mark.parametrize("name", ALL)
def test_second_derivatives(name):
    prior, value = problem(name)
    if prior.latent_dim:
        wanted = torch.autograd.functional.hessian(lambda row: prior().log_prob(row), value[2])
        close(hessian(prior().log_prob)(value[2]), wanted)
        close(jacrev(jacrev(prior().log_prob))(value[2]), wanted)


@pytest.mark.parametrize("name", [name for name, entry in ALL.items() if entry.learns])
def test_over_parameters(name):
    prior, value = problem(name)
    module = LogProb(prior)
    score, _, to_parameters = ordinary(prior, value)
    parameters = {key: x.detach() for key, x in module.named_parameters()}

    def density(parameters, value):
        return functional_call(module, parameters, (value,))

    whole = grad(lambda p: density(p, value).sum())(parameters)
    of_rows = vmap(grad(density), (None, 0))(parameters, value)
    for actual, rows, wanted in zip(whole.values(), of_rows.values(), to_parameters, strict=True):
        close(actual, wanted)
        close(rows.sum(0), wanted)
    twice = {key: torch.stack([x, x + 0.1]) for key, x in parameters.items()}
    ensemble = vmap(density, (0, None))(twice, value)
    close(ensemble[0], score)
    other = copy.deepcopy(prior)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1
    close(ensemble[1], other().log_prob(value).detach())


FORMS = {"ring": {"boundary": "ring", "cores": "full"}, "train": {"cores": "full"}, "factored": {"cores": "factored"}}


@pytest.mark.parametrize("form", FORMS)
def test_queries_of_many_rows_at_once(form):
    """Conditions, posteriors and moments of rows mapped over, as those of a batch."""
    torch.manual_seed(0)
    prior = pp.TTLP(2, {"digit": pp.Discrete(5), "age": pp.Continuous(2)}, 3, 3, order="random", **FORMS[form]).double()
    law, value = prior(), prior().sample((4,)).detach()
    value[1, 2] = NAN
    close(
        vmap(lambda y, z: law.condition(digit=y).marginal("z").log_prob(z))(value[:, 2], value[:, :2]),
        law.condition(digit=value[:, 2]).marginal("z").log_prob(value[:, :2]),
    )
    close(vmap(law.state_probs)(value), law.state_probs(value))
    close(
        vmap(lambda y: law.condition(digit=y).marginal("z").mean)(value[:, 2]),
        law.condition(digit=value[:, 2]).mean[:, :2],
    )
    with torch.no_grad():
        close(vmap(law.state_probs)(value), law.state_probs(value))
    weights = torch.randn(4, 4, 5, dtype=torch.float64)
    close(vmap(lambda w, z: law.weigh(w).log_prob(z))(weights, value), law.weigh(weights).log_prob(value))


class Program(nn.Module):
    """A VAE, or one whose attributes come first, with noise that is given, so that two runs can be compared."""

    def __init__(self, prior):
        super().__init__()
        self.prior, self.size = prior, prior.latent_dim
        self.encoder, self.decoder = nn.Linear(4, max(2 * self.size, 1)), nn.Linear(max(self.size, 1), 4)

    def model(self, x, noise, y=None):
        pyro.module("program", self)
        law = self.prior()
        with pyro.plate("data", len(x)):
            if y is not None:
                pyro.sample("y", law.marginal("y"), obs=y)
                if not self.size:
                    return
                law = law.condition(y=y).marginal("z")
            z = pyro.sample("z", law)
            pyro.sample("x", dist.Normal(self.decoder(z), 1.0).to_event(1), obs=x)

    def guide(self, x, noise, y=None):
        pyro.module("program", self)
        with pyro.plate("data", len(x)):
            if self.size:
                loc, log_scale = self.encoder(x).chunk(2, -1)
                pyro.sample("z", dist.Delta(loc + noise * log_scale.exp(), event_dim=1))

    def batch(self):
        x, noise = torch.randn(5, 4), torch.randn(5, self.size)
        if not getattr(self.prior, "attributes", None):
            return x, noise
        y = self.prior().marginal("y").sample((5,))
        y[torch.rand_like(y) < 0.4] = NAN
        return x, noise, y


@IGNORED
@pytest.mark.parametrize("name", ALL)
def test_the_traced_bound_is_right_for_other_data(name):
    """Traced once, then asked of data that it has not seen: loss and gradients of the bound that is not traced."""
    pyro.clear_param_store()
    torch.manual_seed(0)
    program = Program(ALL[name]())
    traced, results = JitTrace_ELBO(ignore_jit_warnings=True), []
    traced.loss_and_grads(program.model, program.guide, *program.batch())
    batch = program.batch()
    for elbo in (traced, Trace_ELBO()):
        program.zero_grad()
        loss = elbo.loss_and_grads(program.model, program.guide, *batch)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in program.parameters()]
        results.append([torch.tensor(loss), *gradients])
    assert any(gradient.any() for gradient in results[1][1:]) or not ALL[name].learns
    for actual, wanted in zip(*results, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-4)
    pyro.clear_param_store()


@IGNORED
@pytest.mark.parametrize("form", ["ring", "factored"])
def test_a_draw_is_traced(form):
    """Draws differ from run to run, and follow parameters that were not there when they were traced."""
    torch.manual_seed(0)
    case = make_case("CCC", 3, form, dtype=torch.float32)

    def draw(*parts):
        with ignore_jit_warnings():
            return case.of(parts, validate_args=False).law.sample((500,))

    with pyro.validation_enabled(False):
        traced = torch.jit.trace(draw, case.parts(), check_trace=False)
    *tables, loc, scale = case.parts()
    inputs = [*(torch.randn_like(table).requires_grad_() for table in tables), 3 * torch.randn_like(loc), scale]
    first, second = traced(*inputs), traced(*inputs)
    assert not torch.equal(first, second)
    torch.testing.assert_close(second.mean(0), case.of(inputs).law.mean.detach(), atol=0.4, rtol=0)
