"""Bonds of different sizes and latents of different numbers of components: what is not there has no weight at all.

Oracle: every joint state of a small chain summed, with matrices of the true shapes.
"""

import copy
import itertools
import math

import pytest
import torch
from torch.distributions import Normal

import pyro_priors as pp
from pyro_priors.modules.prior import check_state
from pyro_priors.training import fit_prior

NAN = math.nan
COMPONENTS = [3, 1, 2, 4]
# A ring of four variables has four bonds, a train one more; those of one state cut the chain.
FORMS = {
    "ring": {"rank": [2, 4, 1, 3], "cores": "full", "boundary": "ring"},
    "train": {"rank": [2, 3, 4, 1, 5], "cores": "full", "boundary": "train"},
    "train of ends of one": {"rank": [1, 3, 4, 2, 1], "cores": "full", "boundary": "train"},
    "factored": {"rank": [2, 4, 3, 1], "cores": "factored"},
}
each_form = pytest.mark.parametrize("form", FORMS)
long_form = pytest.mark.parametrize(
    "form",
    ["ring", "factored", *(pytest.param(form, marks=pytest.mark.slow) for form in ("train", "train of ends of one"))],
)
each_start = pytest.mark.parametrize("init", ["mixture", "noise"])


def small(form, init="mixture", seed=0):
    """A prior in double precision, its order drawn at random."""
    torch.manual_seed(seed)
    prior = pp.TRIP(4, COMPONENTS, init=init, order="random", **FORMS[form]).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return prior


def joint(form):
    """A law of two latents, a category and a number."""
    torch.manual_seed(1)
    attributes = {"digit": pp.Discrete(3), "age": pp.Continuous(2)}
    prior = pp.TTLP(2, attributes, [3, 2], order="random", **FORMS[form]).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return prior


def per_column(prior, groups):
    """Tables of each variable of those that stand group by group."""
    pairs = zip(prior._layout.groups, groups, strict=True)
    return dict(sorted((c, x) for (_, columns), group in pairs for c, x in zip(columns, group, strict=True)))


def matrices(prior, form):
    """What stands at each position: matrices ``(N_k, m_k, m_(k+1))`` and the vectors that open and close, or None."""
    sizes, order = FORMS[form]["rank"], prior.order.tolist()
    if prior.cores == "full":
        cores = per_column(prior, prior.core_groups())
        after = [*sizes[1:], sizes[0]]
        every = [cores[c][:, : sizes[j], : after[j]].detach().exp() for j, c in enumerate(order)]
        if prior.boundary == "ring":
            return every, None
        return every, (torch.ones(sizes[0]).double(), torch.ones(sizes[-1]).double())
    emissions = per_column(prior, prior.form.split(prior.emission_logits.detach()))
    every = []
    for j, column in enumerate(order):
        emits = emissions[column][:, : sizes[j]].softmax(0)  # (N, m_j)
        move = torch.eye(sizes[j]).double()
        if j + 1 < len(order):
            move = prior.transition_logits[j].detach()[: sizes[j], : sizes[j + 1]].softmax(-1)
        every.append(emits.unsqueeze(-1) * move)
    first = prior.initial_logits.detach()[: sizes[0]].softmax(0)
    return every, (first, torch.ones(sizes[-1]).double())


def joint_states(prior, form):
    """Weight of every joint state, by variable in declared order: ``(N_1, .., N_D)``."""
    every, ends = matrices(prior, form)
    table = torch.zeros([len(core) for core in every]).double()
    for states in itertools.product(*(range(len(core)) for core in every)):
        product = every[0][states[0]]
        for core, state in zip(every[1:], states[1:], strict=True):
            product = product @ core[state]
        table[states] = product.trace() if ends is None else ends[0] @ product @ ends[1]
    return table.permute([prior.order.tolist().index(k) for k in range(len(every))])


def leaf(prior, variable, x):
    """Density of one entry under each state, ones where it is missing."""
    states = prior._layout.sizes[variable]
    if x.isnan():
        return torch.ones(states).double()
    column = prior._variables.columns_of[variable][0]
    if not prior._variables.is_continuous[column]:
        return torch.nn.functional.one_hot(x.long(), states).double()
    row = list(prior._variables.continuous).index(column)
    scale = prior.log_scale.detach()[row, :states].exp()
    return Normal(prior.loc.detach()[row, :states], scale).log_prob(x).exp()


def weighted(prior, form, row):
    """Of every joint state, with what a row has observed."""
    table = joint_states(prior, form)
    for variable, x in enumerate(row):
        shape = [-1 if k == variable else 1 for k in range(table.dim())]
        table = table * leaf(prior, variable, x).reshape(shape)
    return table


def close(actual, expected):
    torch.testing.assert_close(actual.detach(), expected, rtol=1e-9, atol=1e-9)


def some_rows(prior, count=6):
    value = prior().sample((count,))
    value[torch.rand_like(value) < 0.4] = NAN
    return value


@each_start
@each_form
def test_densities_and_posteriors_are_those_of_true_shapes(form, init):
    prior = small(form, init)
    value = torch.cat([some_rows(prior), torch.full((1, 4), NAN).double()])
    total = joint_states(prior, form).sum()
    tables = [weighted(prior, form, row) for row in value]
    close(prior().log_prob(value), torch.stack([(table.sum() / total).log() for table in tables]))
    probs = prior().state_probs(value)
    for actual, table in zip(probs, tables, strict=True):
        for k, states in enumerate(COMPONENTS):
            others = [d for d in range(4) if d != k]
            close(actual[k, :states], table.sum(others) / table.sum())
            assert (actual[k, states:] == 0).all()


@each_form
def test_conditions_marginals_and_moments_are_those_of_true_shapes(form):
    prior = joint(form)
    law, table = prior(), joint_states(prior, form)
    digit, age = torch.tensor(2.0).double(), torch.tensor(0.3).double()
    given = table * leaf(prior, 2, digit)[:, None] * leaf(prior, 3, age)
    for k in range(2):
        shares = given.sum([d for d in range(4) if d != k]) / given.sum()
        states = len(shares)
        loc, scale = prior.loc.detach()[k, :states], prior.log_scale.detach()[k, :states].exp()
        conditioned = law.condition(digit=digit, age=age)
        close(conditioned.mean[k], shares @ loc)
        close(conditioned.variance[k], shares @ (scale**2 + loc**2) - (shares @ loc) ** 2)
    z = torch.randn(3, 2).double()
    own = torch.stack([weighted(prior, form, torch.tensor([*row, NAN, NAN]).double()).sum() for row in z])
    close(law.marginal("z").log_prob(z), (own / table.sum()).log())
    close(law.categorical("digit").probs, table.sum((0, 1, 3)) / table.sum())


@pytest.mark.parametrize("given", [False, True])
@long_form
def test_draws_are_those_of_true_shapes(form, given):
    """Chi-square of 20,000 draws of all joint states: fails once in a million runs of other seeds."""
    torch.manual_seed(3)
    attributes = {name: pp.Discrete(n) for name, n in zip("abcd", (3, 2, 2, 3), strict=True)}
    prior = pp.TTLP(0, attributes, order="random", **FORMS[form]).double()
    law, table = prior(), joint_states(prior, form)
    if given:
        law, table = law.condition(b=torch.tensor(1.0)), table[:, 1:2]
    draws = law.sample((20_000,)).long()
    if given:
        draws = torch.cat([draws[:, :1], torch.zeros(20_000, 1).long(), draws[:, 1:]], 1)
    counts = torch.zeros_like(table).index_put_(tuple(draws.T), torch.ones(20_000).double(), accumulate=True)
    expected = 20_000 * table / table.sum()
    freedom = table.numel() - 1
    chi = ((counts - expected) ** 2 / expected).sum()
    assert chi < freedom * (1 - 2 / (9 * freedom) + 4.75 * (2 / (9 * freedom)) ** 0.5) ** 3


def absent(prior, form):
    """For each table, which of its numbers stand beyond the states of a bond."""
    sizes, order = FORMS[form]["rank"], prior.order.tolist()
    widest, masks = max(sizes), {}
    outside = [torch.arange(widest) >= states for states in sizes]
    if prior.cores == "full":
        after, parts = [*outside[1:], outside[0]], []
        for states, columns in prior._layout.groups:
            for column in columns:
                j = order.index(column)
                parts.append((outside[j][:, None] | after[j]).expand(states, -1, -1))
        return {"log_cores": torch.cat(parts).reshape(prior.log_cores.shape)}
    masks["initial_logits"] = outside[0]
    places = [(states, order.index(c)) for states, columns in prior._layout.groups for c in columns]
    masks["emission_logits"] = torch.cat([outside[j].expand(states, -1) for states, j in places])
    masks["transition_logits"] = torch.stack([a[:, None] | b for a, b in itertools.pairwise(outside)])
    return masks


def answers(prior, value):
    """All that a law says and draws."""
    law = prior()
    torch.manual_seed(7)
    with torch.no_grad():
        return [
            *(law.log_prob(value), law.state_probs(value), law.sample((50,)), law.impute(value)),
            *(law.most_probable(value), law.mean, law.variance, law.marginal([1, 3]).log_prob(value[:, [1, 3]])),
            *(law.rsample((5,)), law.weigh(torch.ones(4, 4).double()).sample((5,))),
        ]


@pytest.mark.parametrize("init", ["mixture", pytest.param("noise", marks=pytest.mark.slow)])
@long_form
def test_what_is_not_there_changes_nothing_and_never_comes_to_be(form, init):
    """Whatever stands beyond a bond's states: answers bit for bit, gradients exactly zero; trained or set anew."""
    prior = small(form, init)
    value = some_rows(prior)
    rows = torch.randn(300, 4).double()
    masks = absent(prior, form)
    assert all(mask.any() for name, mask in masks.items() if name != "initial_logits" or FORMS[form]["rank"][0] < 4)

    def check():
        other = copy.deepcopy(prior)
        with torch.no_grad():
            for name, mask in masks.items():
                getattr(other, name)[mask] = 30 * torch.randn(int(mask.sum())).double()
        for a, b in zip(answers(prior, value), answers(other, value), strict=True):
            assert torch.equal(a.nan_to_num(9.0), b.nan_to_num(9.0))
            assert not a.isinf().any()
        other.zero_grad()
        draws = other().rsample((4,))
        (other().log_prob(value).sum() + draws.square().sum()).backward()
        for name, parameter in other.named_parameters():
            assert parameter.grad.isfinite().all(), name
            if name in masks:
                assert (parameter.grad[masks[name]] == 0).all(), name
                assert (parameter.grad[~masks[name]] != 0).any(), name

    check()
    optimizer = torch.optim.Adam(prior.parameters(), 0.1)
    before = {name: getattr(prior, name).detach().clone() for name in masks}
    for _ in range(20):
        optimizer.zero_grad()
        (-prior().log_prob(rows).mean()).backward()
        optimizer.step()
    for name, mask in masks.items():
        assert torch.equal(getattr(prior, name)[mask], before[name][mask])
    check()
    assert prior.reinitialize(rows, force=True)
    check()


@each_form
def test_a_sequence_of_equal_numbers_is_that_number(form):
    how = {**FORMS[form]}
    count = len(how.pop("rank"))
    made = []
    for rank, components in ((3, 2), ([3] * count, [2] * 4)):
        torch.manual_seed(0)
        prior = pp.TRIP(4, components, rank, order="data", **how)
        prior.reinitialize(torch.randn(200, 4, generator=torch.Generator().manual_seed(1)))
        made.append(prior)
    assert made[0].schema() == made[1].schema()
    assert all(torch.equal(a, b) for a, b in zip(made[0].parameters(), made[1].parameters(), strict=True))


@pytest.mark.parametrize("form", ["factored", *(pytest.param(x, marks=pytest.mark.slow) for x in [*FORMS][:3])])
def test_a_start_from_rows_learns_what_hangs_together(form):
    """Clusters pass through bonds as wide as they need; then the gradient, with what `fit_prior` adds for factored."""
    torch.manual_seed(0)
    how = {**FORMS[form]}
    how["rank"] = [max(2, states) for states in how["rank"]]
    label = torch.randint(2, (2000, 1)).float() * 4 - 2
    z = label + 0.5 * torch.randn(2000, 4)
    prior = pp.TRIP(4, COMPONENTS, **how)
    assert prior.reinitialize(z)
    alone = sum(prior().marginal([k]).log_prob(z[:, [k]]) for k in range(4)).mean()
    start = prior().log_prob(z).mean()
    assert start > alone + 1.2  # of 3 ln 2 = 2.08 that the variables say of each other
    fit_prior(prior, z, epochs=3)
    assert prior().log_prob(z).mean() > start - 0.02
    assert prior().log_prob(z).isfinite().all()


@each_form
def test_they_are_kept_with_the_weights(form):
    prior = small(form)
    value, state = some_rows(prior), prior.state_dict()
    other = pp.TRIP(4, COMPONENTS, order="random", **FORMS[form]).double()
    other.load_state_dict(state)
    assert torch.equal(other().log_prob(value), prior().log_prob(value))
    sizes = FORMS[form]["rank"]
    assert f"rank={sizes}" in repr(prior)
    plain = pp.TRIP(4, COMPONENTS, **{**FORMS[form], "rank": max(sizes)}).double()
    with pytest.raises(ValueError, match=rf"rank: expected {max(sizes)}, got \[{sizes[0]}, "):
        check_state(plain, state)
    with pytest.raises(ValueError, match="z: expected 4 x Continuous"):
        check_state(pp.TRIP(4, 3, **FORMS[form]), state)
