"""A joint law through a flow: what it is as a distribution, and what it refuses."""

import pyro
import pytest
import torch
from catalogue import NAN
from flows import KINDS, bent_joint

import pyro_priors as pp
from pyro_priors.distributions import ChainLaw, FlowJoint


def test_the_surface():
    law = bent_joint()()
    assert law.event_shape == (5,)
    assert law.batch_shape == ()
    assert repr(law) == f"FlowJoint(steps=5, base={law.base})"
    assert not law.has_rsample
    with pytest.raises(NotImplementedError, match="rsample: pathwise gradients need continuous variables"):
        law.rsample()
    assert law.variables is law.base.variables
    assert isinstance(law.marginal("age"), ChainLaw)
    assert isinstance(law.marginal(["digit", -1]), ChainLaw)
    assert law.marginal([1, 0, 2]).event_shape == (3,)
    assert law.expand((4, 2)).sample((3,)).shape == (3, 4, 2, 5)
    assert law.expand((4,)).log_prob(law.sample()).shape == (4,)
    assert law.mask(False).log_prob(law.sample()) == 0
    assert law.expand((4,)).to_event(1).event_shape == (4, 5)
    assert law.support.check(law.sample((3,))).all()
    assert law.marginal("z").support is torch.distributions.constraints.real_vector
    alone = law.marginal("z")
    alone.has_rsample = False  # as Pyro's `has_rsample_` does
    assert not alone.expand((2,)).has_rsample
    assert law.log_prob(torch.full((5,), NAN)) == 0
    z0 = law.to_generation(law.sample((3,))[:, :2])
    torch.testing.assert_close(law.to_generation(law.to_representation(z0)), z0)


@pytest.fixture
def validated():
    """Whatever other tests have switched off."""
    with pyro.validation_enabled(True):
        yield


@pytest.mark.usefixtures("validated")
def test_what_it_refuses():
    law, value = bent_joint()(), bent_joint()().sample((4,))
    value[1, :2] = value[2, 0] = NAN
    part = r"z: expected all latents of a row or none of them \(NaN\), got 1 rows with some, the first at index \(2,\)"
    why = r"a part of them would have to be integrated out through the flow, which has no closed form"
    given = law.condition(digit=torch.tensor(0.0))
    for call, message in (
        (lambda: law.log_prob(value), rf"{part} without z\[0\]: {why}"),
        (lambda: law.impute(value), part),
        (lambda: law.state_probs(value), part),
        (lambda: law.most_probable(value), part),
        (lambda: law.condition(z=value[:, :2]), part),
        (lambda: law.marginal("z").log_prob(value[:, :2]), part),
        (lambda: law.marginal(1), rf"names: expected all latents, the block z, or none, got z\[1\]: {why}"),
        (lambda: given.marginal([0, "age"]), r"names: expected all latents, the block z, or none, got z\[0\]"),
        (lambda: law.marginal("height"), "unknown variable 'height'"),
        (lambda: law.marginal([]), "names: expected at least one variable"),
        (lambda: given.marginal("digit"), "digit: not among the variables that are left"),
        (
            lambda: law.most_probable(value[:2]),
            "value: expected latents that are given, got 1 rows where they are miss",
        ),
        (lambda: law.log_prob(value[:, :4]), r"value: expected a last dimension of 5, got shape \(4, 4\)"),
        (lambda: law.log_prob([0.0] * 5), "value: expected a tensor of real numbers, got list"),
        (lambda: law.log_prob(torch.tensor([torch.inf, 0, 0, 0, 0])), r"z\[0\]: expected a finite value or NaN"),
        (lambda: law.log_prob(torch.tensor([0.0, 0, 3, 0, 0])), r"digit: expected one of 0..2"),
        (lambda: law.condition(z=torch.zeros(3)), r"z: expected a last dimension of 2, got shape \(3,\)"),
        (lambda: law.condition(z="a"), "z: expected a tensor, got 'a'"),
        (lambda: law.condition(z=[torch.inf, 0.0]), "z: expected finite values or NaN, got infinite ones"),
        (lambda: law.condition(z=torch.zeros(2), height=1.0), "unknown variable 'height'"),
        (lambda: law.condition(digit=0.0, y=torch.zeros(3)), "y: given twice"),
        (lambda: law.condition(z=torch.zeros(2), y=torch.zeros(3)), "condition: every variable is given"),
        (lambda: law.weigh(torch.zeros(5)), "log_weights: expected a tensor of shape"),
        (lambda: law.categorical("age"), "age: expected one discrete variable"),
        (lambda: law.to_generation(torch.zeros(3)), "z: expected shape"),
        (lambda: FlowJoint(pp.TTLP(0, KINDS)(), []), "unknown variable 'z'"),
        (lambda: FlowJoint(law.base.condition(z=torch.zeros(2)), []), "z: not among the variables that are left"),
        (lambda: FlowJoint(law.base.marginal([0, "y"]), []), "base: expected a law whose first columns are a block z"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for name in ("mean", "variance"):
        with pytest.raises(
            NotImplementedError, match=rf"{name}: .* has no closed form; .* marginal\(attributes\).{name}"
        ):
            getattr(law, name)
    assert law.marginal("y").mean[0].isnan()
    assert law.marginal("y").mean[1].isfinite()


def test_a_part_of_the_latents_is_no_density_where_nobody_checks():
    """Not even through one coupling, which moves what is missing by what is given."""
    prior = bent_joint()
    with torch.no_grad():
        value = prior().sample((3,))
    value[1, 1] = NAN
    base = prior.base()
    base._validate_args = False
    for count in (1, 5):
        score = FlowJoint(base, prior.steps()[:count], validate_args=False).log_prob(value)
        assert score[[0, 2]].isfinite().all()
        assert not score[1].isfinite()
