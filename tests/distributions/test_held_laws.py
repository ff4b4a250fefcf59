"""A law that is older than its parameters refuses: half of what it knows would be of before, half of now."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from pyro.optim.clipped_adam import ClippedAdam

import pyro_priors as pp
from pyro_priors.distributions import FactoredTrain, GaussianMixture, TensorRing, Variables, versions

MESSAGE = (
    r": expected .*(log_cores|emissions).* as it was when the law was built, got other numbers .*; build the law afresh"
)


def prior():
    torch.manual_seed(0)
    return pp.TTLP(2, {"digit": pp.Discrete(3)}, components=3, rank=2, order="random", cores="full")


class Tables(torch.nn.Module):
    """A factored train whose tables are parameters themselves, whatever they sum to."""

    def __init__(self):
        super().__init__()
        tables = {"initial": (2,), "emissions": (3, 3, 2), "transitions": (2, 2, 2), "loc": (2, 3), "scale": (2, 3)}
        for name, shape in tables.items():
            self.register_parameter(name, torch.nn.Parameter(torch.rand(shape) / 2 + 0.25))

    def forward(self):
        variables = Variables({"z": [pp.Continuous(3)] * 2, "digit": pp.Discrete(3)}, self.loc, self.scale)
        return FactoredTrain(self.initial, self.emissions, self.transitions, variables, validate_args=False)


def derived(law):
    return {
        "itself": law,
        "expanded": law.expand((2,)),
        "marginal": law.marginal(["z", "digit"]),
        "given": law.condition(z=torch.zeros(2)),
        "weighed": law.weigh(torch.zeros(3, 3)),
    }


QUERIES = {
    "log_prob": lambda law: law.log_prob(torch.zeros(law.event_shape)),
    "sample": lambda law: law.sample(),
    "mean": lambda law: law.mean,
    "impute": lambda law: law.impute(torch.full(law.event_shape, torch.nan)),
    "state_probs": lambda law: law.state_probs(torch.full(law.event_shape, torch.nan)),
    "most_probable": lambda law: law.most_probable(torch.full(law.event_shape, torch.nan)),
    "categorical": lambda law: law.categorical("digit"),
}


def step(module):
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


CHANGES = {
    "Adam": step,
    "an assignment": lambda module: [p.detach().add_(1.0) for p in module.parameters()],
    "load_state_dict": lambda module: module.load_state_dict(module.state_dict()),
    "reinitialize": lambda module: module.reinitialize(torch.randn(30, 2), force=True),
}


@pytest.mark.parametrize(("make", "change"), [(prior, c) for c in CHANGES] + [(Tables, c) for c in CHANGES][:-1])
def test_a_law_held_over_a_change_refuses(make, change):
    module = make()
    laws = derived(module())
    for law in laws.values():
        law.log_prob(torch.zeros(law.event_shape))  # some know their normaliser
    CHANGES[change](module)
    for law in (*laws.values(), copy.copy(laws["itself"])):
        for query in QUERIES.values():
            with pytest.raises(ValueError, match=MESSAGE):
                query(law)
    for law in derived(module()).values():
        for query in QUERIES.values():
            query(law)


OPTIMIZERS = {
    "plain": lambda parameters: torch.optim.Adam(parameters, lr=0.1, foreach=False),
    "foreach": lambda parameters: torch.optim.Adam(parameters, lr=0.1, foreach=True),
    "fused": lambda parameters: torch.optim.Adam(parameters, lr=0.1, fused=True),
    "fused SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, fused=True),
    "Pyro's": lambda parameters: ClippedAdam(parameters, lr=0.1),
}


def test_a_law_of_frozen_parameters_sees_a_step_after_the_thaw():
    module = prior().requires_grad_(False)
    law = module()
    module.requires_grad_()
    module().log_prob(torch.zeros(3)).backward()
    OPTIMIZERS["fused"](module.parameters()).step()
    with pytest.raises(ValueError, match=MESSAGE):
        law.log_prob(torch.zeros(3))


@pytest.mark.parametrize("make", [prior, Tables])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_is_seen(optimizer, make):
    """Fused ones, and Pyro's, do not count their writes as torch does."""
    module = make()
    optimizer, others = OPTIMIZERS[optimizer](module.parameters()), torch.optim.SGD(make().parameters(), lr=0.1)
    law = module()
    law.log_prob(torch.zeros(3)).backward()
    others.step()  # of another module: nothing to this one
    law.log_prob(torch.zeros(3))
    optimizer.step()
    with torch.no_grad(), pytest.raises(ValueError, match=MESSAGE):
        law.log_prob(torch.zeros(3))
    module().log_prob(torch.zeros(3))


def test_a_step_that_has_no_gradient_of_them_changes_nothing():
    module, other = prior(), torch.nn.Linear(2, 2)
    law = module()
    before = law.log_prob(torch.zeros(3))
    optimizer = torch.optim.Adam([*module.parameters(), *other.parameters()])
    other(torch.ones(2)).sum().backward()
    optimizer.step()
    assert torch.equal(law.log_prob(torch.zeros(3)), before)


def test_a_step_leaves_what_is_fixed():
    module = prior().requires_grad_(False)
    law, learned = module(), torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([*module.parameters(), learned], lr=0.1)
    learned.grad = torch.ones(1)
    before = law.log_prob(torch.zeros(3))
    optimizer.step()
    assert law.log_prob(torch.zeros(3)) == before


def test_parameters_that_are_watched_are_not_kept_alive():
    module = prior()
    module().sample()
    before, watched = len(versions._steps), [weakref.ref(parameter) for parameter in module.parameters()]
    del module
    gc.collect()
    assert not any(reference() is not None for reference in watched)
    assert len(versions._steps) < before


def test_what_nobody_sees_still_leaves_a_density():
    """A write through `.data`: neither the old law nor the new, but one that integrates to one."""
    torch.manual_seed(0)
    module = pp.TRIP(1, components=3, rank=2, boundary="train")
    law, side = module(), torch.linspace(-12, 12, 4001)[:, None]
    with torch.no_grad():
        law.log_prob(side)
        module.log_cores.data.add_(torch.randn_like(module.log_cores))
        assert float(law.log_prob(side).exp().sum() * 24 / 4000) == pytest.approx(1, abs=1e-4)


def test_a_density_of_a_held_law_no_longer_integrates_to_something_else():
    """The case that was: its normaliser was of before, its cores of now."""
    torch.manual_seed(0)
    module = pp.TRIP(1, components=3, rank=2, boundary="train")
    law, side = module(), torch.linspace(-12, 12, 4001)[:, None]
    with torch.no_grad():
        assert float(law.log_prob(side).exp().sum() * 24 / 4000) == pytest.approx(1, abs=1e-4)
        module.log_cores.add_(torch.randn_like(module.log_cores))
        with pytest.raises(ValueError, match=MESSAGE):
            law.log_prob(side)
        assert float(module().log_prob(side).exp().sum() * 24 / 4000) == pytest.approx(1, abs=1e-4)


def two_latents(form):
    """A law of tables that have been written to, and one of these, by name."""
    loc, scale = torch.zeros(2, 3).add_(0.5), torch.ones(2, 3)
    variables = Variables({"z": [pp.Continuous(3)] * 2}, loc, scale)
    if form == "full":
        return TensorRing(torch.randn(2, 3, 2, 2).add_(0.1), variables), "log_cores"
    tables = [torch.ones(shape).mul_(share) for shape, share in (((2,), 0.5), ((2, 3, 2), 1 / 3), ((1, 2, 2), 0.5))]
    return FactoredTrain(*tables, variables), "emissions"


@pytest.mark.parametrize("form", ["full", "factored"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda law: pickle.loads(pickle.dumps(law))])
def test_copies_are_laws_of_their_own(copied, form):
    law, name = two_latents(form)
    twin = copied(law)
    expected = law.log_prob(torch.zeros(2))
    getattr(law, name).add_(1.0)
    assert torch.equal(twin.log_prob(torch.zeros(2)), expected)
    with pytest.raises(ValueError, match=MESSAGE):
        copied(law).log_prob(torch.zeros(2))
    getattr(twin, name).add_(1.0)
    with pytest.raises(ValueError, match=MESSAGE):
        twin.log_prob(torch.zeros(2))


def test_a_mixture_refuses_too():
    torch.manual_seed(0)
    module = pp.GaussianMixture(2, 3)
    law = module()
    step(module)
    for query in (
        lambda: law.log_prob(torch.zeros(2)),
        lambda: law.sample(),
        lambda: law.rsample(),
        lambda: law.mean,
        lambda: law.variance,
        lambda: law.posterior(torch.zeros(2)),
    ):
        with pytest.raises(ValueError, match=r"GaussianMixture: expected loc.* as it was when the law was built"):
            query()
    categories = pp.CategoricalGaussian(3, 2)
    law = categories()
    step(categories)
    with pytest.raises(ValueError, match="CategoricalGaussian: expected loc as it was"):
        law.component(torch.tensor(1))


def test_in_inference_mode_there_are_no_versions():
    module = prior()
    with torch.inference_mode():
        law = module()
        assert law.log_prob(law.sample((2,))).isfinite().all()
        cores = torch.randn(1, 2, 1, 1)
        own = TensorRing(cores, Variables({"a": pp.Discrete(2)}))
        assert own.log_prob(torch.zeros(1)).isfinite()
        mixture = GaussianMixture(torch.zeros(2), torch.zeros(2, 1), torch.ones(2, 1))
        assert mixture.log_prob(torch.zeros(1)).isfinite()
    assert own.log_prob(torch.zeros(1)).isfinite()
