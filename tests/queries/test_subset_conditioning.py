"""Subset conditioning through a joint VAE and the queries: all at once or one after the other, nothing, what cannot be.

Each goodness-of-fit test fails with probability `laws.ALPHA` under a right sampler; the seeds are fixed.
"""

import laws
import oracles
import pyro
import pytest
import torch
from cases import FORMS
from catalogue import NAN, as_case
from linked_attributes import ATTRIBUTES, check_codes, linked_prior, same_law
from pyro import poutine
from pyro.infer import Predictive

from pyro_priors import queries
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import JointVAE

SHAPE = (1, 4, 4)
every_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(autouse=True)
def _fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)


def make_vae(form="train"):
    """A joint VAE in float64 whose pictures are the codes themselves."""
    prior = linked_prior(form)
    vae = JointVAE(GatedMLPEncoder(SHAPE, 2, (8,)), GatedMLPDecoder(2, SHAPE, (8,)), prior).double()
    vae.decoder, vae.likelihood = torch.nn.Identity(), Means()
    return vae


class Means(torch.nn.Module):
    def forward(self, raw):
        return pyro.distributions.Delta(raw, event_dim=1)


class Excluding(torch.nn.Module):
    """A prior that was told that no digit is 1."""

    def __init__(self, prior):
        super().__init__()
        self.prior, self.attributes, self.latent_dim = prior, prior.attributes, prior.latent_dim

    def forward(self):
        weights = torch.zeros(6, 3).double()
        weights[2, 1] = -torch.inf
        return self.prior().weigh(weights)


@every_form
def test_generated_pictures_given_two_attributes(form):
    """Here a picture is its code."""
    vae = make_vae(form)
    y = torch.tensor([0.0, NAN, NAN, 1.0]).double().expand(4000, 4)
    conditioned = poutine.condition(vae.model, {"y": y})
    for codes in (
        vae.generate(4000, digit=0.0, hat=1.0),
        vae.generate(4000, y=y),
        queries.generate(vae, 4000, {"hat": 1, "digit": torch.zeros(4000)}),
        Predictive(conditioned, num_samples=1)(n=4000)["z"][0],
    ):
        check_codes(vae.prior, codes, digit=0.0, hat=1.0)


@every_form
def test_generating_by_the_chain_rule(form):
    """p(x given digit) has the same pictures as a hat drawn given the digit, then pictures given both."""
    vae = make_vae(form)
    one_go = queries.generate(vae, 20_000, {"digit": 2})
    hats = vae.prior().condition(digit=2.0).categorical("hat").sample((20_000,))
    assert same_law(queries.generate(vae, 20_000, {"digit": 2, "hat": hats}), one_go)
    for wrong in ({"digit": 2, "hat": 1 - hats}, {"hat": hats}):
        assert not same_law(queries.generate(vae, 20_000, wrong), one_go)


def test_generating_given_nothing():
    vae = make_vae()
    nothing = torch.full((4000, 4), NAN).double()
    pictures = [
        queries.generate(vae, 4000),
        queries.generate(vae, 4000, {"digit": NAN}),
        queries.generate(vae, 4000, {"y": nothing}),
        Predictive(poutine.condition(vae.model, {"y": nothing}), num_samples=1)(n=4000)["z"][0],
        Predictive(vae.model, num_samples=1)(n=4000)["z"][0],
    ]
    marginal = vae.prior().marginal("z").sample((4000,))
    assert all(same_law(codes, marginal) for codes in pictures)
    assert not same_law(queries.generate(vae, 4000, {"digit": 0}), marginal)


@every_form
def test_classification_is_consistent(form):
    """At one draw of z: p(digit) = sum over hat of p(hat) p(digit given hat), and given nothing is no y at all."""
    vae, x = make_vae(form), torch.rand(5, *SHAPE).double()
    nothing = torch.full((5, 4), NAN).double()

    def classify(y=None):
        torch.manual_seed(1)
        return queries.classify(vae, x, y, draws=1)

    given = []
    for hat in (0.0, 1.0):
        y = nothing.clone()
        y[:, 3] = hat
        given.append(classify(y)["digit"])
    alone = classify()
    mixed = alone["hat"][:, :1] * given[0] + alone["hat"][:, 1:] * given[1]
    laws.close(mixed, alone["digit"])
    assert (given[0] - given[1]).abs().max() > 0.01
    assert all(torch.equal(probs, alone[name]) for name, probs in classify(nothing).items())


@every_form
def test_imputing_all_at_once_and_one_after_the_other(form):
    """For codes that are certain: q(z given x) knows nothing of y, so that a second call draws z afresh."""
    vae, x = make_vae(form), torch.rand(1, *SHAPE).double().expand(8000, *SHAPE)
    vae.encoder = Certain(vae.encoder)
    nothing = torch.full((8000, 4), NAN).double()
    at_once = queries.impute(vae, x, nothing)[0]
    filled = nothing.clone()
    filled[:, 3] = queries.impute(vae, x, nothing)[0][:, 3]
    by_turns = queries.impute(vae, x, filled)[0]
    assert torch.equal(by_turns[:, 3], filled[:, 3])
    z = vae.encode(x[:1]).mean.detach()
    joint = oracles.log_joint(as_case(vae.prior), torch.cat([z, nothing[:1]], -1))[0]
    table = joint.exp().sum((0, 1, 3, 4)) / joint.exp().sum()  # (digit, hat)
    independent = table.sum(1, keepdim=True) * table.sum(0)
    for draws in (at_once, by_turns):
        cells = draws[:, [0, 3]].long()
        laws.check_counts(cells, table)
        with pytest.raises(AssertionError):  # filling each entry by itself would be noticed
            laws.check_counts(cells, independent)


class Certain(torch.nn.Module):
    """An encoder whose codes do not vary."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        return pyro.distributions.Normal(self.encoder(x).mean, 1e-12).to_event(1)


# ---- what cannot be


def test_what_was_excluded_never_comes():
    vae = make_vae()
    x = torch.rand(50, *SHAPE).double()
    vae.prior = Excluding(vae.prior)
    nothing = torch.full((50, 4), NAN).double()
    assert not (queries.impute(vae, x, nothing, draws=20)[..., 0] == 1).any()
    assert (queries.classify(vae, x)["digit"][:, 1] == 0).all()


def row(**given):
    """Attributes of two pictures; the first says nothing."""
    y = torch.full((2, 4), NAN).double()
    for name, value in given.items():
        y[1, list(ATTRIBUTES).index(name)] = value
    return y


def excluding():
    vae = make_vae()
    vae.prior = Excluding(vae.prior)
    return vae


X = torch.zeros(2, *SHAPE).double()
CONTRADICTION = "contradictory evidence: every state of some variable is excluded"
BAD = {
    "a contradiction in what is generated": (lambda: excluding().generate(3, digit=1.0, sex=0.0), CONTRADICTION),
    "a contradiction in a query": (lambda: queries.generate(excluding(), 3, {"digit": 1}), CONTRADICTION),
    "a contradiction in what is classified": (
        lambda: queries.classify(excluding(), X, row(digit=1)),
        CONTRADICTION,
    ),
    "a contradiction in what is imputed": (lambda: queries.impute(excluding(), X, row(digit=1)), CONTRADICTION),
    "an unknown name in a query": (
        lambda: queries.generate(make_vae(), 3, {"digit": 1, "nose": 1}),
        "given: expected some of digit, sex, age, hat, got 'nose'",
    ),
    "codes that are to be drawn": (lambda: make_vae().generate(3, z=torch.zeros(2)), "given: expected some of .*'z'"),
    "a value out of range in one row": (
        lambda: make_vae().generate(2, digit=0.0, hat=torch.tensor([NAN, -1.0])),
        r"one of 0..1 or NaN .*got -1",
    ),
    "a fraction in a query": (lambda: queries.generate(make_vae(), 2, {"sex": 0.5}), "one of 0..1 or NaN .*got 0.5"),
    "infinity in a query": (
        lambda: queries.generate(make_vae(), 2, {"age": torch.inf}),
        "a finite value or NaN .*got inf",
    ),
    "classified beside a value out of range": (
        lambda: queries.classify(make_vae(), X, row(digit=3)),
        r"one of 0..2 or NaN at index \(1, 0\), got 3",
    ),
    "imputed beside a value out of range": (
        lambda: queries.impute(make_vae(), X, row(hat=2)),
        r"one of 0..1 or NaN at index \(1, 3\), got 2",
    ),
    "imputed beside too few columns": (lambda: queries.impute(make_vae(), X, row()[:, :3]), "last dimension of 4"),
    "classified beside other rows": (
        lambda: queries.classify(make_vae(), X, row().repeat(2, 1)[:3]),
        "expected batch shapes that fit each other",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
