"""EM of a mixture of product laws, against its likelihood written out plainly, and the cores that it sets."""

import warnings

import numpy
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import pyro_priors as pp
from pyro_priors.modules.starting.fitting import clusters_of, fit_clusters, fit_mixture
from pyro_priors.modules.starting.initialise import _update_leaves as update_leaves
from pyro_priors.modules.starting.initialise import cluster_rows, fit_product_mixture
from pyro_priors.modules.starting.starts import near_diagonal_cores
from pyro_priors.ops.layout import layout_of

KINDS = {"a": pp.Continuous(3), "b": pp.Discrete(2), "c": pp.Continuous(3), "d": pp.Discrete(3), "e": pp.Continuous(2)}


def log_likelihood(value, loc, log_scale, log_probs, log_mix):
    """sum_i pi_i prod_k sum_s p_k(s given i) f_k(x_k given s), a column that is NaN left out; mean over the rows."""
    log_probs, of_cluster, row = log_probs.log_softmax(1), log_mix.log_softmax(0), 0
    for column, kind in enumerate(KINDS.values()):
        missing, x = value[:, column, None].isnan(), value[:, column, None].nan_to_num(0.0)
        if isinstance(kind, pp.Continuous):
            count = kind.components
            density = torch.distributions.Normal(loc[row, :count], log_scale[row, :count].exp()).log_prob(x)
            row += 1
        else:
            count = kind.categories
            density = torch.where(x == torch.arange(count), 0.0, -torch.inf).to(value)
        given = (density.unsqueeze(-1) + log_probs[column, :count]).logsumexp(1)  # (n, G)
        of_cluster = of_cluster + torch.where(missing, 0.0, given)
    return of_cluster.logsumexp(-1).mean()


def table(rows):
    """Two hidden groups that rule every column but "e"; a third of the entries is missing."""
    torch.manual_seed(0)
    group = (torch.rand(rows) < 0.3).double()
    columns = [
        3 * group + torch.randn(rows).double(),
        (torch.rand(rows) < 0.2 + 0.6 * group).double(),
        torch.randn(rows).double() * (0.3 + group) - 5,
        ((torch.rand(rows) < 0.7) * (1 + group)).double(),
        10 + 2 * torch.randn(rows).double(),
    ]
    value = torch.stack(columns, -1)
    return torch.where(torch.rand(value.shape) < 0.33, torch.nan, value)


def fitted(value, steps, shrinkage=0.0, clusters=2):
    torch.manual_seed(1)
    variables = pp.distributions.Variables(KINDS, torch.zeros(3, 3).double(), torch.ones(3, 3).double())
    fit = fit_product_mixture(value, variables, clusters, steps=steps, shrinkage=shrinkage)
    log_probs = torch.full((5, 3, clusters), -torch.inf).double()
    for part, (states, columns) in zip(fit.log_probs, layout_of(variables.num_states).groups, strict=True):
        log_probs[list(columns), :states] = part
    return [fit.loc, fit.scale.log(), log_probs, fit.log_mix]


def test_every_step_of_em_raises_the_likelihood():
    value = table(1500)
    likelihoods = torch.stack([log_likelihood(value, *fitted(value, steps)) for steps in (1, 2, 4, 8)])
    assert (likelihoods.diff() > -1e-6).all()
    assert likelihoods[-1] > likelihoods[0] + 0.01


def test_em_ends_where_the_likelihood_is_flat():
    value = table(1500)
    leaves = [parameter.clone().requires_grad_() for parameter in fitted(value, 150)]
    slopes = torch.autograd.grad(log_likelihood(value, *leaves), leaves)
    steepest = [slope.abs().max().item() for slope in slopes]
    assert max(steepest) < 1e-3, steepest


def test_shares_and_laws_of_the_groups_are_found():
    value = table(2500)
    _, _, log_probs, log_mix = fitted(value, 40)
    small = int(log_mix.argmin())
    assert log_mix.exp()[small] == pytest.approx(0.3, abs=0.05)
    wanted = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).double()  # of "b", (states, groups)
    torch.testing.assert_close(log_probs[1, :2, [1 - small, small]].exp(), wanted, atol=0.08, rtol=0)
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(5, 2).double())


def test_shrinkage_adds_rows_of_the_columns_own_law():
    """Endlessly many of them, and both groups have it."""
    value = table(1000)
    log_probs = fitted(value, 30, shrinkage=1e9)[2]
    known = value[:, 1][~value[:, 1].isnan()]
    torch.testing.assert_close(log_probs[:, :, 0], log_probs[:, :, 1], atol=1e-4, rtol=0)
    torch.testing.assert_close(log_probs[1, 1].exp(), known.mean().expand(2), atol=1e-3, rtol=0)
    assert (log_probs[1, 2] < -10).all()  # a state that the variable lacks


def test_leaves_are_weighted_means_and_deviations_however_small_the_weights():
    """A component that holds a fraction of one row is fitted to it as one that holds many; one that has none stays."""
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(40, 5, generator=generator).double() * 5
    value[:10, 0] = torch.nan
    variables = pp.distributions.Variables(KINDS, torch.zeros(3, 3).double(), torch.ones(3, 3).double())
    used = torch.rand(40, 5, 3, generator=generator).double() * (~value.isnan()).unsqueeze(-1) / 40
    used[:, 2, 1] = 0
    old = torch.full((3, 3), 7.0).double()
    loc, scale = before = old, old + 1
    for states, columns in layout_of(variables.num_states).groups:
        part = value[:, columns], variables, (states, columns), used[:, columns, :states]
        loc, scale = update_leaves(*part, before, (loc, scale))
    for row, column in enumerate((0, 2, 4)):
        x = value[:, column].nan_to_num(0.0).numpy()
        for state in range(variables.num_states[column]):
            weights = used[:, column, state].numpy()
            if (column, state) == (2, 1):
                assert (loc[row, state], scale[row, state]) == (7, 8)
                continue
            mean = numpy.average(x, weights=weights)
            deviation = numpy.average((x - mean) ** 2, weights=weights) ** 0.5
            assert (loc[row, state].item(), scale[row, state].item()) == pytest.approx((mean, deviation))


def test_clusters_leak_about_as_much_as_they_may():
    """Between two clusters 1 / (10 m D) of what the lesser keeps to itself, less a little noise."""
    torch.manual_seed(0)
    log_probs, log_mix = torch.randn(6, 5, 4).log_softmax(1), torch.randn(4).log_softmax(0)
    cores = near_diagonal_cores(log_probs, log_mix)
    diagonal = cores.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(diagonal, log_probs + log_mix / 6)
    smaller = torch.minimum(diagonal.unsqueeze(-1), diagonal.unsqueeze(-2))
    share = (cores - smaller)[..., ~torch.eye(4, dtype=torch.bool)].exp() * 10 * 4 * 6
    assert share.max() <= 1 + 1e-5
    assert share.min() > 0.6
    assert share.std() > 0.02  # equal ones would stay equal


def test_rows_are_clustered_by_what_they_know():
    """Far from zero, in any unit, in any number of categories; entries that are missing tell nothing."""
    torch.manual_seed(0)
    group = torch.arange(400) % 2
    value = torch.stack(
        [
            1e4 + 3 * group + 0.3 * torch.randn(400),
            group.float(),
            1e-3 * (group + 0.1 * torch.randn(400)),
            (2 - 2 * group).float(),
            torch.full((400,), torch.nan),
        ],
        -1,
    )
    value[torch.rand(400) < 0.3, 0] = torch.nan
    value[torch.rand(400) < 0.3, 1] = torch.nan
    variables = pp.distributions.Variables(KINDS, torch.zeros(3, 3), torch.ones(3, 3))
    label = cluster_rows(value, variables, 2)
    assert ((label == group).all() or (label == 1 - group).all()).item()
    nothing = cluster_rows(torch.full((6, 5), torch.nan), variables, 4)
    assert nothing.tolist() == [0, 1, 2, 3, 0, 1]


FITS = {
    "mixture": lambda rows: fit_mixture(rows, 3)[0],
    "clusters of codes": lambda rows: clusters_of(rows, 0 * rows, 3),
    "clusters": lambda rows: fit_clusters(rows, 3),
}


@pytest.mark.parametrize("name", FITS)
def test_a_start_that_has_not_converged_is_taken_without_a_word(name, monkeypatch):
    """Warnings are errors here."""
    spoken = []
    for kind in (GaussianMixture, KMeans):

        def fit(self, rows, fit=kind.fit):
            warnings.warn("it did not converge", ConvergenceWarning, stacklevel=2)
            spoken.append(len(rows))
            return fit(self, rows)

        monkeypatch.setattr(kind, "fit", fit)
    torch.manual_seed(0)
    assert FITS[name](torch.randn(90, 2)).isfinite().all()
    assert spoken
    with pytest.warns(ConvergenceWarning, match="it did not converge"):  # as before for all others
        GaussianMixture(2).fit([[0.0], [1.0], [2.0]])


def test_clusters_share_the_rows_from_the_first_step_on():
    """Expected counts add up to the rows, whatever the start: 30 of one value and 10 of another."""
    torch.manual_seed(0)
    value, shrinkage = torch.tensor([0.0] * 30 + [1.0] * 10)[:, None], 5.0
    mixture = fit_product_mixture(value, pp.distributions.Variables({"a": pp.Discrete(2)}), 2, 1, shrinkage)
    rows = mixture.log_mix.exp() * (40 + 2 * 0.1) - 0.1  # without what keeps a weight from 0
    usual = torch.tensor([0.75, 0.25])[:, None]
    counts = mixture.log_probs[0][0].exp() * (rows + shrinkage) - shrinkage * usual
    torch.testing.assert_close(counts.sum(-1), torch.tensor([30.0, 10.0]), rtol=0, atol=0.05)
