"""What a value may be: integers, booleans and numpy's scalars everywhere; floats of 16 bits only where they hold it."""

import numpy as np
import pytest
import torch
from cases import FORMS, make_case
from catalogue import NAN

from pyro_priors.distributions import (
    CategoricalGaussian,
    Continuous,
    Discrete,
    FactoredTrain,
    GumbelSoftmax,
    TensorRing,
    TruncatedCategorical,
    Variables,
)
from pyro_priors.distributions import columns as columns_module

HALF = (torch.float16, torch.bfloat16)


def people(dtype=torch.float32, categories=3, seed=0):
    """A number, a yes or no, and a category that depends on both."""
    torch.manual_seed(seed)
    kinds = {"age": Continuous(2), "male": Discrete(2), "job": Discrete(categories)}
    loc, scale = torch.tensor([[-1.0, 2.0]]), torch.tensor([[0.5, 1.0]])
    variables = Variables(kinds, loc.to(dtype), scale.to(dtype), groups={"y": ("male", "job")})
    return TensorRing(torch.randn(3, max(categories, 2), 2, 2).to(dtype), variables)


YES = [True, 1, 1.0, np.bool_(True), np.int64(1), np.uint8(1), np.float32(1), np.array(True)]
YES += [torch.tensor(1, dtype=kind) for kind in (torch.bool, torch.uint8, torch.int16, torch.int64, torch.float64)]


@pytest.mark.parametrize("yes", YES, ids=lambda yes: f"{type(yes).__name__} {getattr(yes, 'dtype', '')}")
def test_any_number_can_be_given(yes):
    law = people()
    given, expected = law.condition(male=yes), law.condition(male=torch.tensor(1.0))
    value = torch.tensor([0.3, 2.0])
    torch.testing.assert_close(given.log_prob(value).float(), expected.log_prob(value))
    torch.testing.assert_close(given.categorical("job").probs.float(), expected.categorical("job").probs)
    both = law.condition(male=yes, job=2)
    torch.testing.assert_close(both.mean.float(), law.condition(male=torch.tensor(1.0), job=torch.tensor(2.0)).mean)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int32, torch.int64])
def test_every_query_takes_integers_and_booleans(kind):
    law = people().marginal("y")
    rows = torch.tensor([[1, 0], [0, 1], [1, 1]]).to(kind)
    plain = rows.float()
    assert torch.equal(law.log_prob(rows), law.log_prob(plain))
    assert torch.equal(law.state_probs(rows), law.state_probs(plain))
    assert torch.equal(law.impute(rows), plain)
    assert torch.equal(law.most_probable(rows), plain)
    assert law.support.check(rows).all()
    assert torch.equal(law.weigh(torch.zeros(2, 3).to(torch.int64)).log_prob(rows), law.log_prob(plain))
    block = people().condition(y=rows)
    assert torch.equal(block.mean, people().condition(y=plain).mean)
    law._validate_sample(rows)
    chosen = people().categorical("male").log_prob(rows[:, 0])
    assert torch.equal(chosen, people().categorical("male").log_prob(plain[:, 0]))


def test_a_mask_is_no_weight():
    """True would weigh e times as much as False, where a mask means all or nothing."""
    with pytest.raises(ValueError, match="log_weights: expected logarithms of weights, got booleans"):
        people().weigh(torch.ones(3, 3, dtype=torch.bool))


def test_integers_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"male: expected one of 0..1 or NaN at index \(0,\), got 2"):
        people().condition(male=2)
    with pytest.raises(ValueError, match=r"job: expected one of 0\.\.2"):
        people().marginal("y").log_prob(torch.tensor([1, -1]))


def test_categories_may_be_booleans():
    law = CategoricalGaussian(torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1))
    assert law.component(torch.tensor([True, False, True])).mean[:, 0].tolist() == [1, -1, 1]
    assert law.posterior(torch.tensor([[1]])).probs.dtype == torch.float32
    assert torch.equal(law.posterior(torch.tensor([[1]])).probs, law.posterior(torch.tensor([[1.0]])).probs)


# ---- 16 bits


@pytest.mark.parametrize("dtype", HALF)
def test_states_that_16_bits_round_are_drawn_exactly(dtype):
    """3,000 categories: draws are float32, since float16 has no 2,049 and bfloat16 no 257."""
    law = people(dtype, 3000)
    draws = law.sample((2000,))
    assert draws.dtype == torch.float32
    job = draws[:, 2]
    assert (job % 2 == 1).float().mean() > 0.4
    assert (job > 2048).any()
    probs = law.categorical("job").probs
    expected = float((probs * torch.arange(3000)).sum())
    assert abs(float(job.mean()) - expected) < 4.5 * float(job.std()) / 2000**0.5
    assert law.marginal(["age", "male"]).sample((3,)).dtype == dtype
    assert law.condition(job=2999).sample((3,)).dtype == dtype
    filled = law.impute(torch.tensor([[0.5, 1.0, NAN]]), (50,))
    assert (filled[..., 2] % 2 == 1).any()
    assert law.most_probable(torch.full((1, 3), NAN)).dtype == torch.float32
    assert torch.equal(law.log_prob(draws[:9]), people(dtype, 3000).log_prob(draws[:9]))


@pytest.mark.parametrize("dtype", HALF)
def test_a_value_that_16_bits_may_have_rounded_is_refused(dtype):
    law = people(dtype, 3000)
    for call in (
        lambda: law.log_prob(torch.tensor([0.1, 1.0, 2049.0]).to(dtype)),
        lambda: law.condition(job=torch.tensor(257.0).to(dtype)),
        lambda: law.condition(job=torch.tensor(257.0).to(dtype), age=0.5),
        lambda: law.impute(torch.tensor([NAN, 1.0, 3.0]).to(dtype)),
    ):
        with pytest.raises(
            ValueError, match=r"job: expected float32, float64 or integers for states up to 2999, got tor"
        ):
            call()
    integer = law.condition(job=torch.tensor(2049)).log_prob(torch.tensor([0.5, 1.0]))
    assert torch.equal(integer, law.condition(job=2049.0).log_prob(torch.tensor([0.5, 1.0])))
    assert not torch.equal(integer, law.condition(job=2048).log_prob(torch.tensor([0.5, 1.0])))


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("form", FORMS)
def test_queries_of_16_bits_are_those_of_32(dtype, form):
    """The tables and leaves rounded once, everything else in 32 bits."""
    case = make_case("cdCb", 3, form, dtype=dtype)
    wide = case.variables.bind(case.variables.loc.float(), case.variables.scale.float())
    law = case.law
    if form == "factored":
        emissions = [table.float() for table in law.emissions]
        given = (law.initial.float(), emissions, law.transitions.float(), wide, case.order)
        same = FactoredTrain(*given, validate_args=False).weigh(torch.zeros(4, 3))  # sums are not quite one
    else:
        same = TensorRing(case.tables[0].float(), wide, form, case.order)
    value = torch.tensor([[0.5, 1, NAN, NAN], [NAN, NAN, 2.25, 1]])
    for x in (value, value.to(dtype)):
        torch.testing.assert_close(law.log_prob(x), same.log_prob(value))
        torch.testing.assert_close(law.state_probs(x), same.state_probs(value))
        assert torch.equal(law.impute(x)[~value.isnan()].float(), value[~value.isnan()])
    given = law.condition(v0=value[:, 0].to(dtype))
    torch.testing.assert_close(given.mean, same.condition(v0=value[:, 0]).mean, equal_nan=True)
    torch.testing.assert_close(law.variance, same.variance, equal_nan=True)
    assert law.log_prob(value).dtype == law.mean.dtype == law.state_probs(value).dtype == torch.float32
    assert law.sample((2,)).dtype == dtype
    assert law.most_probable(value.to(dtype)).dtype == dtype
    moved = law.marginal(["v0", "v2"])
    assert moved.rsample((4,)).dtype == dtype


def test_a_category_of_16_bits():
    logits = torch.randn(5, dtype=torch.float16)
    soft = GumbelSoftmax(logits, 0.5)
    assert soft.expand((2,)).rsample().dtype == torch.float16
    assert soft.log_prob(torch.eye(5)[2]).dtype == torch.float32
    torch.testing.assert_close(soft.log_prob(torch.eye(5)), logits.float().log_softmax(-1))
    cut = TruncatedCategorical(logits, 2)
    assert cut.log_prob(cut.enumerate_support()).isfinite().all()
    torch.testing.assert_close(cut.probs.sum(), torch.tensor(1.0))


# ---- what is kept between calls


def test_indices_of_ever_new_subsets_do_not_pile_up(monkeypatch):
    monkeypatch.setattr(columns_module, "INDICES", 20)
    variables = Variables({f"v{k}": Discrete(2) for k in range(8)})
    law = TensorRing(torch.randn(8, 2, 1, 1), variables)
    for subset in range(1, 255):
        names = [f"v{k}" for k in range(8) if subset >> k & 1]
        value = torch.zeros(len(names))
        assert torch.equal(law.marginal(names).log_prob(value), law.marginal(names).log_prob(value))
        assert len(variables._on_device) <= 20
