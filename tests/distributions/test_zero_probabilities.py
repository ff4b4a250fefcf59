"""A factored train whose tables hold zeros: what cannot be has density zero, and evidence of it is refused."""

import math

import pytest
import torch

from pyro_priors.distributions import Discrete, FactoredTrain, Variables

NAN = math.nan


def copied():
    """Three bits of which the second is the first, and the third is always 0."""
    never = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    variables = Variables({"a": Discrete(2), "b": Discrete(2), "c": Discrete(2)})
    moves = torch.eye(2).expand(2, 2, 2)
    return FactoredTrain(torch.tensor([0.25, 0.75]), [torch.eye(2), torch.eye(2), never], moves, variables)


def test_what_cannot_be_has_density_zero():
    law = copied()
    rows = torch.tensor([[0.0, 0, 0], [1, 1, 0], [0, 1, 0], [NAN, NAN, 1], [1, NAN, NAN]])
    wanted = torch.tensor([0.25, 0.75, 0.0, 0.0, 0.75])
    torch.testing.assert_close(law.log_prob(rows).exp(), wanted)
    draws = law.sample((500,))
    assert torch.equal(draws[:, 0], draws[:, 1])
    assert not draws[:, 2].any()
    assert law.impute(torch.tensor([1.0, NAN, NAN])).tolist() == [1, 1, 0]
    assert law.condition(a=1).categorical("b").probs.tolist() == [0, 1]


IMPOSSIBLE = {
    "condition": lambda law: law.condition(a=0, b=1),
    "condition later": lambda law: law.condition(a=0).condition(b=torch.tensor([0.0, 1.0])),
    "condition on what never is": lambda law: law.condition(c=1),
    "weigh": lambda law: law.condition(a=0).weigh(torch.tensor([[-math.inf, 0.0], [0.0, 0.0]])),
    "impute": lambda law: law.impute(torch.tensor([0.0, 1.0, NAN])),
    "state_probs": lambda law: law.state_probs(torch.tensor([[0.0, 0.0, NAN], [0.0, 1.0, NAN]])),
    "most_probable": lambda law: law.most_probable(torch.tensor([NAN, NAN, 1.0])),
}


@pytest.mark.parametrize("query", IMPOSSIBLE)
def test_evidence_of_probability_zero_is_refused(query):
    """Neither NaN nor a draw from nothing."""
    with pytest.raises(ValueError, match="contradictory evidence: the tables give it probability zero"):
        IMPOSSIBLE[query](copied())


def test_gradients_beside_zeros_are_numbers():
    initial, moves = torch.tensor([0.25, 0.75]).requires_grad_(), torch.eye(2).expand(2, 2, 2).clone().requires_grad_()
    emissions = torch.stack([torch.eye(2)] * 3).requires_grad_()
    variables = Variables({"a": Discrete(2), "b": Discrete(2), "c": Discrete(2)})
    law = FactoredTrain(initial, emissions, moves, variables)
    score = law.log_prob(torch.tensor([[1.0, 1, 1], [0, 1, NAN]]))
    torch.testing.assert_close(score.exp(), torch.tensor([0.75, 0]))
    score[0].backward(retain_graph=True)
    score[1].backward()
    assert all(x.grad.isfinite().all() for x in (initial, emissions, moves))
