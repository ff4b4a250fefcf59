"""Priors and laws say what they are laws of, and weights of another are refused before any is copied."""

import copy

import pytest
import torch
from prior_laws import tensors
from torch import nn

import pyro_priors as pp
from pyro_priors import Continuous, Discrete
from pyro_priors.distributions import Variables
from pyro_priors.modules.prior import STATE, check_state

KINDS = {"digit": Discrete(3), "age": Continuous(2)}


def ttlp(latent_dim=2, kinds=KINDS, components=4, **kwargs):
    return pp.TTLP(latent_dim, kinds, components, **{"rank": 2, "cores": "full", "order": "random", **kwargs})


def flow(**kwargs):
    return pp.FlowNormal(2, **{"layers": 2, "hidden": (4,), **kwargs})


DIFFERENCES = {  # two priors, what the second's weights lack for the first
    "categories": (ttlp(), ttlp(kinds={**KINDS, "digit": Discrete(4)}), "digit: expected Discrete(3), got Discrete(4)"),
    "kind": (
        ttlp(kinds={"a": Discrete(2)}),
        ttlp(kinds={"a": Continuous(2)}),
        "a: expected Discrete(2), got Continuous(2)",
    ),
    "name": (
        ttlp(kinds={"male": Discrete(2)}),
        ttlp(kinds={"young": Discrete(2)}),
        "male: expected Discrete(2), got none; young: expected none, got Discrete(2)",
    ),
    "more": (ttlp(), ttlp(kinds={**KINDS, "sex": Discrete(2)}), "sex: expected none, got Discrete(2)"),
    "names swapped": (
        ttlp(kinds={"a": Discrete(2), "b": Discrete(2)}),
        ttlp(kinds={"b": Discrete(2), "a": Discrete(2)}),
        "variables: expected z, a, b, got z, b, a",
    ),
    "latents": (ttlp(), ttlp(3), "z: expected 2 x Continuous(4), got 3 x Continuous(4)"),
    "components": (ttlp(), ttlp(components=5), "z: expected 2 x Continuous(4), got 2 x Continuous(5)"),
    "rank": (ttlp(), ttlp(rank=3), "rank: expected 2, got 3"),
    "boundary": (ttlp(), ttlp(boundary="ring"), "boundary: expected train, got ring"),
    "law": (pp.StandardNormal(2), pp.GaussianMixture(2, 3), "law: expected StandardNormal, got GaussianMixture"),
    "of a mixture": (pp.GaussianMixture(2, 3), pp.GaussianMixture(2, 4), "components: expected 3, got 4"),
    "weights": (pp.GaussianMixture(2, 3), pp.GaussianMixture(2, 3, "equal"), "weights: expected learned, got equal"),
    "covariance": (
        pp.GaussianMixture(2, 3, covariance="full"),
        pp.GaussianMixture(2, 3),
        "covariance: expected full, got diagonal",
    ),
    "of categories": (
        pp.CategoricalGaussian(3, 2),
        pp.CategoricalGaussian(3, 2, "full"),
        "covariance: expected diagonal, got full",
    ),
    "two levels": (pp.CategoricalGaussian(3, 2), pp.CategoricalGaussian(4, 2), "categories: expected 3, got 4"),
    "bounds": (
        pp.VampPrior(torch.rand(3, 4)),
        pp.VampPrior(torch.rand(3, 4), (0.0, 1.0)),
        "bounds: expected None, got [0.0, 1.0]",
    ),
    "flow": (flow(), flow(hidden=(5,)), "hidden: expected [4], got [5]"),
    "base": (
        flow(base=pp.TRIP(2, 3, 2)),
        flow(base=pp.TRIP(2, 3, 2, boundary="train")),
        "base.boundary: expected ring, got train",
    ),
}


@pytest.mark.parametrize("which", DIFFERENCES)
def test_weights_of_another_law_are_refused_before_any_is_copied(which):
    prior, other, message = DIFFERENCES[which]
    before = {name: value.clone() for name, value in tensors(prior).items()}
    for strict in (True, False):
        with pytest.raises(ValueError) as error:  # noqa: PT011 (the whole message is compared)
            prior.load_state_dict(other.state_dict(), strict=strict)
        assert message in str(error.value)
    assert all(torch.equal(before[name], value) for name, value in tensors(prior).items())


def test_within_a_model_the_message_names_the_prior_and_all_can_be_checked_first():
    def model(**kwargs):
        return nn.ModuleDict({"encoder": nn.Linear(3, 2), "prior": ttlp(**kwargs)})

    ours, state = model(), model(rank=3).state_dict()
    before = ours["encoder"].weight.clone()
    with pytest.raises(ValueError, match=r"prior\.rank: expected 2, got 3"):
        check_state(ours, state)
    assert torch.equal(before, ours["encoder"].weight)
    with pytest.raises(ValueError, match=r"prior\.rank: expected 2, got 3"):
        ours.load_state_dict(state)
    check_state(ours, model().state_dict())
    check_state(ours, tensors(model(rank=3)))  # kept before there were schemas


def test_a_state_that_says_nothing_is_refused():
    for wrong in (torch.tensor([1, 2], dtype=torch.uint8), torch.rand(3), "text", None):
        with pytest.raises(ValueError, match="_extra_state: expected what a prior says of itself"):
            ttlp().load_state_dict({**ttlp().state_dict(), STATE: wrong})


def test_what_makes_no_other_law_is_no_difference():
    """Start, order (a buffer, which is loaded) and being fixed."""
    prior, value = ttlp(init="noise", order="declared"), ttlp()().sample((4,))
    other = ttlp(fixed=True, local=2, order=[3, 1, 0, 2])
    prior.load_state_dict(other.state_dict())
    assert torch.equal(prior().log_prob(value), other().log_prob(value))


def test_what_is_loaded_bare_is_loaded_as_before():
    old = tensors(ttlp())
    prior = ttlp()
    assert prior.load_state_dict(old) == ([], [])
    with pytest.raises(RuntimeError, match=r"Missing key.*loc"):
        prior.load_state_dict({name: value for name, value in old.items() if name != "loc"})


def test_the_schema_is_no_buffer():
    """Casts, and what synchronises devices, see only parameters and buffers."""
    prior = ttlp().to(torch.bfloat16)
    assert prior.state_dict()[STATE].dtype == torch.uint8
    assert not any(STATE in name for name, _ in [*prior.named_buffers(), *prior.named_parameters()])
    assert torch.equal(copy.deepcopy(prior).state_dict()[STATE], ttlp().state_dict()[STATE])
    assert torch.equal(ttlp().state_dict()[STATE], prior.state_dict()[STATE])  # canonical


def test_repr_of_modules():
    assert repr(ttlp(order=[3, 1, 0, 2])) == (
        "TTLP(z: 2 x Continuous(4), digit: Discrete(3), age: Continuous(2), rank=2, boundary=train, "
        "order=[3, 1, 0, 2], init=mixture, fixed=False)"
    )
    assert repr(pp.TRIP(100, 10, 4)) == (
        "TRIP(z: 100 x Continuous(10), rank=4, boundary=ring, order=declared, init=mixture, fixed=False)"
    )
    assert repr(pp.StandardNormal(3)) == "StandardNormal(z: 3 x real)"
    assert repr(pp.GaussianMixture(3, 2)) == "GaussianMixture(z: 3 x real, components=2, weights=learned, fixed=False)"
    full = pp.GaussianMixture(3, 2, covariance="full")
    assert repr(full) == "GaussianMixture(z: 3 x real, components=2, weights=learned, covariance=full, fixed=False)"
    assert repr(full()) == "FullGaussianMixture(z: 3 x real, components=2, batch_shape=())"
    both = pp.CategoricalGaussian(4, 3, "full")
    assert repr(both) == "CategoricalGaussian(c: Discrete(4), z: 3 x real, covariance=full, fixed=False)"
    assert repr(pp.CategoricalGaussian(4, 3)) == "CategoricalGaussian(c: Discrete(4), z: 3 x real, fixed=False)"
    assert repr(pp.VampPrior(torch.rand(3, 4))) == "VampPrior(pseudo_inputs=(3, 4), bounds=None, fixed=False)"
    assert repr(flow()).startswith("FlowNormal(\n  z: 2 x real, layers=2, hidden=(4,), transform=affine, fixed=False\n")


def test_repr_of_laws():
    joint = ttlp(order="declared")()
    everything = "rank=2, boundary=train, order=declared"
    assert repr(joint) == (
        f"TensorRing(z: 2 x Continuous(4), digit: Discrete(3), age: Continuous(2), {everything}, batch_shape=())"
    )
    assert repr(joint.condition(digit=torch.zeros(6)).marginal(["z"])) == (
        f"TensorRing(z: 2 x Continuous(4), 2 of 4 columns, {everything}, batch_shape=(6,))"
    )
    assert "TensorRing(z[1]: 1 x Continuous(4), 1 of 4 columns," in repr(joint.marginal(1))
    assert repr(pp.GaussianMixture(3, 2)()) == "GaussianMixture(z: 3 x real, components=2, batch_shape=())"
    assert repr(pp.CategoricalGaussian(4, 3)()) == "CategoricalGaussian(z: 3 x real, components=4, batch_shape=())"
    shown = repr(flow(base=pp.TRIP(2, 3, 2))().expand((5,)))
    assert shown.startswith("FlowNormal(z: 2 x real, steps=3, base=TensorRing(z: 2 x Continuous(3), ")
    assert shown.endswith(", batch_shape=(5,))")


def test_long_descriptions_are_cut():
    many = ttlp(0, {f"attribute{k}": Discrete(2) for k in range(30)}, order=list(range(30))[::-1])
    assert "attribute19: Discrete(2), and 10 more, rank=2" in repr(many)
    assert "order=[29, 28, 27, 26, 25, 24, ..., 0]" in repr(many)
    assert len(many.schema()["variables"]) == 30
    variables = Variables({"row": [Discrete(2), Discrete(3), Discrete(3)]})
    assert repr(variables) == "Variables(row: 1 x Discrete(2) + 2 x Discrete(3))"


def test_weights_without_a_schema_are_checked_by_torch_shape_by_shape():
    """As files of before have none."""
    prior = pp.TRIP(3, 4, 2)
    state = {key: value for key, value in prior.state_dict().items() if key != STATE}
    state["loc"], state["log_scale"] = torch.zeros(2, 4), torch.zeros(3, 5)
    with pytest.raises(RuntimeError, match=r"(?s)size mismatch for loc: .*size mismatch for log_scale: "):
        prior.load_state_dict(state)
    state.pop("loc")
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "loc"'):
        prior.load_state_dict(state)
