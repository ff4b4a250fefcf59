"""Expected counts of factored chains against enumeration of all bonds, and EM that never loses likelihood."""

import itertools

import pytest
import torch
from catalogue import NAN

import pyro_priors as pp
from pyro_priors.modules.em.expected_counts import expected_counts
from pyro_priors.modules.starting.stepwise_mixture import stepwise_mixture
from pyro_priors.training import StepwiseEM

ATTRIBUTES = {"digit": pp.Discrete(3), "sex": pp.Discrete(2), "age": pp.Continuous(2)}


def mixed(rows=60, seed=0):
    """A prior of mixed columns in another order than declared, and rows with gaps."""
    torch.manual_seed(seed)
    prior = pp.TTLP(1, ATTRIBUTES, components=2, rank=3, cores="factored", order=[2, 0, 3, 1], local=1).double()
    c = torch.randint(3, (rows,)).double()
    columns = [c + 0.3 * torch.randn(rows), c, (torch.rand(rows) < 0.2 + 0.3 * c).double(), c.square() + 5]
    value = torch.stack(columns, 1)
    value[:, 3] += 0.2 * torch.randn(rows)
    value[torch.rand(value.shape) < 0.3] = NAN
    return prior, value


def by_enumeration(prior, value):
    """Counts a row of initial, transitions and emissions, summed over all bonds and states."""
    law, order = prior(), prior.order.tolist()
    initial, transitions = law.initial.detach(), law.transitions.detach()
    emissions = [table.detach() for table in law.emissions]
    sizes, count_of = law.variables.num_states, enumerate(law.variables.num_states)
    evidence = [law.variables.log_evidence(value[:, [k]], (k,), n)[:, 0].detach().exp() for k, n in count_of]
    count = [torch.zeros_like(initial), torch.zeros_like(transitions), [torch.zeros_like(e) for e in emissions]]
    rows = torch.zeros(len(value), dtype=torch.float64)
    weighted = []
    states_of = [range(sizes[k]) for k in order]
    for bonds in itertools.product(range(3), repeat=4):
        path = initial[bonds[0]] * torch.stack([transitions[j, bonds[j], bonds[j + 1]] for j in range(3)]).prod()
        for states in itertools.product(*states_of):
            weight = path.expand(len(value)).clone()
            for k, i, s in zip(order, bonds, states, strict=True):
                weight = weight * emissions[k][s, i] * evidence[k][:, s]
            rows += weight
            weighted.append((bonds, states, weight))
    for bonds, states, weight in weighted:
        share = (weight / rows).mean()
        count[0][bonds[0]] += share
        for j in range(3):
            count[1][j, bonds[j], bonds[j + 1]] += share
        for k, i, s in zip(order, bonds, states, strict=True):
            count[2][k][s, i] += share
    return count


def test_counts_are_those_of_all_bonds():
    prior, value = mixed(rows=7)
    prior().log_prob(value).mean().backward()
    counts = expected_counts(prior, {name: x.grad for name, x in prior.named_parameters()})
    initial, transitions, emissions = by_enumeration(prior, value)
    assert counts.initial.allclose(initial, atol=1e-10)
    assert counts.transitions.allclose(transitions, atol=1e-10)
    groups = prior._layout.split(counts.emissions, 0)
    for (_, columns), group in zip(prior._layout.groups, groups, strict=True):
        for column, part in zip(columns, group, strict=True):
            assert part.allclose(emissions[column], atol=1e-10)


def test_full_steps_never_lose_likelihood():
    prior, value = mixed()
    optimizer, scores = StepwiseEM(prior, len(value), lr=1.0, pseudo=0.0), []
    for _ in range(40):
        optimizer.zero_grad()
        score = prior().log_prob(value).mean()
        score.neg().backward()
        optimizer.step()
        scores.append(score.item())
    gains = torch.tensor(scores).double().diff()
    assert gains.min() > -1e-9
    assert scores[-1] - scores[0] > 2
    assert prior().initial.sum().item() == pytest.approx(1)


def test_small_steps_move_part_of_the_way():
    prior, value = mixed()
    optimizer = StepwiseEM(prior, len(value), lr=0.25)
    for _ in range(2):
        optimizer.zero_grad()
        prior().log_prob(value).mean().neg().backward()
        fresh = expected_counts(prior, {name: -x.grad for name, x in prior.named_parameters()}).initial
        kept = optimizer.state[prior.initial_logits].get("initial", fresh).clone()
        optimizer.step()
    moved = optimizer.state[prior.initial_logits]["initial"]
    assert moved.allclose(0.75 * kept + 0.25 * fresh, atol=1e-12)


def test_em_is_for_factored_cores():
    expected = "prior: expected a learnable TRIP or TTLP with cores='factored' for EM, got "
    for prior, got in (
        (pp.TRIP(2), "TRIP with cores='full'"),
        (pp.TRIP(2, cores="factored", fixed=True), "TRIP that is fixed"),
        (pp.FlowNormal(2), "FlowNormal, a law through a flow, for whose couplings there is no EM"),
        (pp.GaussianMixture(2, 3), "GaussianMixture"),
    ):
        with pytest.raises(ValueError, match=f"^{expected}{got}$"):
            StepwiseEM(prior, 10)
    with pytest.raises(ValueError, match=r"lr: expected a step size in \(0, 1\], got 1.5"):
        StepwiseEM(pp.TRIP(2, cores="factored"), 10, lr=1.5)
    with pytest.raises(ValueError, match="gradients: expected those of a mean negative log-likelihood, got none"):
        StepwiseEM(pp.TRIP(2, cores="factored"), 10).step()


def test_a_stepwise_mixture_finds_clusters_in_mixed_columns_with_gaps():
    torch.manual_seed(0)
    label = torch.randint(2, (3000,))
    z = 0.5 * torch.randn(3000, 2) + 3 * (2 * label[:, None] - 1)
    digit = torch.where(torch.rand(3000) < 0.9, label, 1 - label).float()
    value = torch.cat([z, digit[:, None]], 1)
    value[torch.rand(value.shape) < 0.2] = NAN
    prior = pp.TTLP(2, {"digit": pp.Discrete(2)}, components=4, order="declared")
    mixture = stepwise_mixture(value, prior._variables, 2)
    digits = mixture.log_probs[1][0].exp()  # (2, G)
    assert sorted(digits[0].tolist()) == pytest.approx([0.1, 0.9], abs=0.04)
    assert mixture.log_mix.exp().tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    means = torch.einsum("dsg,ds->dg", mixture.log_probs[0].exp(), mixture.loc)
    assert means.abs().mean().item() == pytest.approx(3, abs=0.3)
