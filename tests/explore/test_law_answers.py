"""What the explorer says of a law is what the law's own calls say, and of ranges what quadrature says."""

import explored
import numpy as np
import pytest
import torch

import pyro_priors as pp
from pyro_priors.explore import ask
from pyro_priors.explore.laws import LawSubject
from pyro_priors.explore.places import LawPlaces
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import VAE

NAN = float("nan")
GIVEN = {"digit": 3, "age": 0.4}


@pytest.fixture(scope="module")
def subject():
    return LawSubject(explored.law(), categories={"size": ["small", "medium", "large"]})


def test_categories_are_those_of_the_law(subject):
    answer = subject.answer(GIVEN)
    given = explored.law().condition(digit=3.0, age=0.4)
    np.testing.assert_allclose(answer["variables"]["size"]["probs"], given.categorical("size").probs, atol=1e-6)
    assert answer["variables"]["digit"] == {"is": "set", "probs": [0, 0, 0, 1, 0], "change": pytest.approx(
        -float(explored.law().categorical("digit").probs[3].log()))}  # fmt: skip
    assert answer["exact"] is True


@pytest.mark.parametrize(("place", "name"), [(0, "gaze[0]"), (1, "gaze[1]")])
def test_numbers_are_those_of_the_law(subject, place, name):
    answer = subject.answer(GIVEN)["variables"][name]
    given = explored.law().condition(digit=3.0, age=0.4).marginal("gaze")
    axis = torch.tensor(next(v["axis"] for v in subject.describe()["variables"] if v["name"] == name))
    rows = torch.full((len(axis), 2), NAN).double()
    rows[:, place] = axis
    np.testing.assert_allclose(answer["density"], given.log_prob(rows).exp(), atol=1e-6)
    assert answer["mean"] == pytest.approx(float(given.mean[place]), abs=1e-6)
    below = given.marginal(place).sample((40_000,))[:, 0] < answer["median"]
    assert below.double().mean() == pytest.approx(0.5, abs=0.01)  # four standard errors


def test_what_is_given_has_the_laws_own_density(subject):
    row = torch.tensor([3.0, 0.4, NAN, NAN, NAN]).double()
    assert subject.answer(GIVEN)["log_prob"] == pytest.approx(float(explored.law().log_prob(row)), abs=1e-6)
    assert subject.answer({})["log_prob"] == pytest.approx(0.0, abs=1e-9)


def over(law, column, low, high, count=4001):
    """Rows whose number in a column goes over a range, and what each weighs, by Simpson's rule."""
    x = torch.linspace(low, high, count, dtype=torch.float64)
    weight = torch.ones(count).double()
    weight[1:-1:2], weight[2:-1:2] = 4, 2
    rows = torch.full((count, 5), NAN).double()
    rows[:, column] = x
    return rows, weight * (x[1] - x[0]) / 3


@pytest.mark.parametrize(("name", "column"), [("age", 1), ("gaze[0]", 3)])
def test_a_range_is_the_integral_over_it(subject, name, column):
    low, high, law = -0.5, 0.8, explored.law()
    answer = subject.answer({"size": "medium", name: (low, high)})
    rows, weight = over(law, column, low, high)
    rows[:, 2] = 1.0
    density = law.log_prob(rows).exp() * weight
    assert answer["log_prob"] == pytest.approx(float(density.sum().log()), abs=1e-6)
    probs = (law.state_probs(rows)[:, 0, :5] * density.unsqueeze(-1)).sum(0) / density.sum()
    np.testing.assert_allclose(answer["variables"]["digit"]["probs"], probs, atol=1e-6)
    mean = float((rows[:, column] * density).sum() / density.sum())
    assert answer["variables"][name]["mean"] == pytest.approx(mean, abs=1e-6)
    other = law.most_probable(rows)[:, 4]  # the mean of the other number of the vector
    assert answer["variables"]["gaze[1]"]["mean"] == pytest.approx(
        float((other * density).sum() / density.sum()), abs=1e-5
    )
    assert answer["exact"] is True


def test_several_categories_are_their_mixture(subject):
    law, answer = explored.law(), subject.answer({"digit": [0, 4]})
    own = law.categorical("digit").probs
    mixed = sum(own[k] * law.condition(digit=float(k)).categorical("size").probs for k in (0, 4)) / (own[0] + own[4])
    np.testing.assert_allclose(answer["variables"]["size"]["probs"], mixed, atol=1e-6)
    assert answer["variables"]["digit"]["is"] == "limited"
    assert answer["variables"]["digit"]["change"] == pytest.approx(-float((own[0] + own[4]).log()), abs=1e-6)


def test_ranges_of_a_vector_together_are_marked(subject):
    answer = subject.answer({"gaze[0]": (-1, 1), "gaze[1]": (-1, 0.5)})
    assert answer["exact"] is False
    assert answer["worth"] > 50
    draws = explored.law().sample((60_000,))
    inside = draws[((draws[:, 3:] >= -1) & (draws[:, 3:] <= torch.tensor([1, 0.5]))).all(-1)]
    seen = torch.bincount(inside[:, 0].long(), minlength=5) / len(inside)
    np.testing.assert_allclose(answer["variables"]["digit"]["probs"], seen, atol=0.03)


def test_change_is_the_divergence_in_nats(subject):
    law = explored.law()
    now, before = law.condition(digit=3.0).categorical("size").probs, law.categorical("size").probs
    changes = subject.answer({"digit": 3})["variables"]
    assert changes["size"]["change"] == pytest.approx(float((now * (now / before).log()).sum()), abs=1e-6)
    x = torch.linspace(-30, 30, 60_001, dtype=torch.float64).unsqueeze(-1)
    f, g = (each.marginal("age").log_prob(x) for each in (law.condition(digit=3.0), law))
    exact = float((f.exp() * (f - g)).sum() * 60 / 60_000)
    assert changes["age"]["change"] == pytest.approx(exact, abs=2e-3)


def test_information_is_the_laws(subject):
    law, answer = explored.law(), subject.information()
    own, other = law.categorical("digit").probs, law.categorical("size").probs
    both = torch.stack([law.condition(digit=float(k)).categorical("size").probs for k in range(5)]) * own.unsqueeze(-1)
    exact = float((both * (both / (own.unsqueeze(-1) * other)).log()).sum())
    at = answer["names"].index
    assert answer["nats"][at("digit")][at("size")] == pytest.approx(exact, abs=1e-6)
    assert answer["standard_error"][at("digit")][at("size")] == 0
    assert answer["standard_error"][at("digit")][at("age")] > 0


def test_a_law_that_was_conditioned_stays_so():
    law = explored.law().condition(digit=2.0).marginal(["size", "age"])
    subject = LawSubject(law)
    assert [row.name for row in subject.rows] == ["age", "size"]
    probs = explored.law().condition(digit=2.0, age=0.1).categorical("size").probs
    answer = subject.answer({"age": 0.1})
    np.testing.assert_allclose(answer["variables"]["size"]["probs"], probs, atol=1e-6)
    assert answer["log_prob"] == pytest.approx(float(law.log_prob(torch.tensor([0.1, NAN]).double())), abs=1e-6)


@pytest.mark.parametrize("cores", ["full", "factored"])
def test_the_laws_own_precision_is_kept(cores):
    torch.manual_seed(0)
    prior = pp.TTLP(2, {"a": pp.Discrete(3), "b": pp.Discrete(4)}, rank=4, cores=cores, order="declared")
    answer = ask(prior, {"a": 1, "z[0]": 0.5})["variables"]["b"]["probs"]
    z = torch.tensor([0.5, NAN])
    np.testing.assert_allclose(answer, prior().condition(a=1.0, z=z).categorical("b").probs.detach(), atol=1e-6)


def test_the_global_random_state_stays():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    LawSubject(explored.law()).information()
    assert torch.equal(torch.rand(3), expected)


def test_lines_of_python_give_the_same(subject):
    lines = subject.answer({"digit": 3})["python"].splitlines()
    names: dict = {"law": explored.law()}
    exec(lines[0], names)
    answer = subject.answer({"digit": 3})["variables"]
    np.testing.assert_allclose(eval("given.categorical('size').probs", names), answer["size"]["probs"], atol=1e-6)
    assert "given.categorical('size').probs" in lines
    lines = subject.answer({"digit": 3, "age": (0, 1)})["python"].splitlines()
    exec("\n".join(lines[:-1]), names)
    np.testing.assert_allclose(
        eval(lines[-1], names), subject.answer({"digit": 3, "age": (0, 1)})["variables"]["size"]["probs"], atol=1e-6
    )


@pytest.mark.parametrize("given", [{"size": "large"}, {"size": ["small", "large"], "age": (0, 1)}])
def test_lines_of_python_know_no_texts(given):
    """The page says "large" or "2", and the law alone has states."""
    subject = LawSubject(explored.law(), categories={"size": ["small", "medium", "large"]})
    answer = subject.answer(given)
    lines, names = answer["python"].splitlines(), {"law": explored.law()}
    last = next(line for line in reversed(lines) if "digit" in line)
    exec("\n".join(line for line in lines if not line.startswith("given.") and line != last), names)
    np.testing.assert_allclose(eval(last, names), answer["variables"]["digit"]["probs"], atol=1e-6)
    assert "digit=3)" in LawSubject(explored.law()).answer({"digit": "3"})["python"]


REFUSED = {
    "nose": ({"nose": 1}, r"given: expected names of variables \(digit, age, .*\), got 'nose'"),
    "category": ({"digit": 9}, r"digit: expected one of 0\.\.4, got 9"),
    "text": ({"size": "huge"}, r"size: expected one of small, medium, large, got 'huge'"),
    "fraction": ({"digit": 1.5}, "digit: expected one of"),
    "number": ({"age": "old"}, "age: expected a finite number, got 'old'"),
    "infinite": ({"age": float("inf")}, "age: expected a finite number, got inf"),
    "range of categories": ({"digit": (1, 2)}, "digit: expected a category, or a list of them"),
    "list of numbers": ({"age": [1, 2]}, r"age: expected a number or a range"),
    "wrong way round": ({"age": (2, 1)}, r"age: expected a range \(low, high\), the lower end first"),
    "none": ({"age": None}, "age: expected a value, a range or a list"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_evidence_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        ask(LawSubject(explored.law(), categories={"size": ["small", "medium", "large"]}), given)


def test_what_cannot_be_explored_is_refused():
    with pytest.raises(ValueError, match="law: expected one on a chain"):
        ask(torch.distributions.Normal(0.0, 1.0))
    with pytest.raises(ValueError, match="program: expected one with attributes, such as JointVAE, got VAE"):
        ask(VAE(GatedMLPEncoder((1, 2, 2), 2), GatedMLPDecoder(2, (1, 2, 2)), pp.StandardNormal(2)))
    with pytest.raises(ValueError, match=r"law: expected one without a batch shape, got \(3,\)"):
        LawPlaces(explored.law().expand((3,)))
    with pytest.raises(ValueError, match="categories: expected names of discrete variables, got 'age'"):
        LawSubject(explored.law(), categories={"age": ["young"]})
    with pytest.raises(ValueError, match=r"categories\['size'\]: expected 3 different texts"):
        LawSubject(explored.law(), categories={"size": ["s", "m"]})


def test_evidence_of_probability_zero_is_refused():
    stay = torch.eye(2).unsqueeze(0)
    variables = pp.distributions.Variables({"a": pp.Discrete(2), "b": pp.Discrete(2)})
    emissions = torch.eye(2).repeat(2, 1, 1)
    law = pp.distributions.FactoredTrain(torch.tensor([0.5, 0.5]), emissions, stay, variables)
    with pytest.raises(ValueError, match="probability zero"):
        ask(law, {"a": 0, "b": 1})
