"""Mixtures whose clusters have Gaussians of their own over vectors, against dense normals and scikit-learn's EM."""

import warnings

import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch.distributions import MultivariateNormal

import pyro_priors as pp
from pyro_priors.modules.starting.cluster_parts import ClusteredTables, ClusteredVector
from pyro_priors.modules.starting.clustered_vectors import Moments, Spread, factored
from pyro_priors.modules.starting.vector_mixture import Clusters, VectorRows, fit_full_mixture, fit_vector_mixture

LABEL = pp.distributions.Variables({"label": pp.Discrete(3)})


def rows_of(count, size=5, groups=9, seed=0, classes=3, apart=1.5):
    """Gaussians of different covariances, each of one of the classes: ``-> (count, size), (count, 1)``"""
    generator = torch.Generator().manual_seed(seed)
    centres = apart * torch.randn(groups, size, generator=generator)
    roots = 0.6 * torch.randn(groups, size, size, generator=generator).tril(-1)
    roots = roots + torch.diag_embed(0.3 + torch.rand(groups, size, generator=generator))
    group = torch.randint(groups, (count,), generator=generator)
    noise = torch.randn(count, size, 1, generator=generator)
    return centres[group] + (roots[group] @ noise)[..., 0], (group % classes).float()[:, None]


def some_missing(value, share, seed=1):
    return value.masked_fill(torch.rand(value.shape, generator=torch.Generator().manual_seed(seed)) < share, torch.nan)


def densities(vector, value):
    """Log-densities under each cluster, ``(B, G)``, from what a fit returns."""
    if len(vector) == 3:
        loc, loadings, scale = vector
        law = MultivariateNormal(loc, loadings @ loadings.mT + torch.diag_embed(scale.square()))
    elif vector[1].dim() == 2:
        law = MultivariateNormal(vector[0], torch.diag_embed(vector[1].square()))
    else:
        law = MultivariateNormal(vector[0], precision_matrix=vector[1].mT @ vector[1])
    return law.log_prob(value[:, None])


def likelihood(fit, value):
    return (densities(fit.vectors[0], value) + fit.log_mix).logsumexp(-1).mean()


def right_labels(fit, value, label):
    """The share of labels that are most probable given the vector, and the mean of their log-probabilities."""
    weights = (densities(fit.vectors[0], value) + fit.log_mix).softmax(-1)
    probs = weights @ fit.others.log_probs[0][0].exp().T
    return (probs.argmax(1) == label[:, 0]).float().mean(), probs.gather(1, label.long()).log().mean()


def dense_step(x, loc, covariance, log_mix, table, label, emphasis=1.0):
    """A step of EM, row by row and cluster by cluster: mean, covariance and weight of each, table of the labels."""
    clusters, size = loc.shape
    score, firsts, seconds = x.new_zeros(len(x), clusters), x.new_zeros(len(x), clusters, size), None
    seconds = x.new_zeros(len(x), clusters, size, size)
    for b, row in enumerate(x):
        o, m = (~row.isnan()).nonzero()[:, 0], row.isnan().nonzero()[:, 0]
        for g in range(clusters):
            full, spread = row.clone(), torch.zeros_like(covariance[g])
            gain = covariance[g][m][:, o] @ torch.linalg.inv(covariance[g][o][:, o])
            full[m] = loc[g, m] + gain @ (row[o] - loc[g, o])
            spread[m[:, None], m] = covariance[g][m][:, m] - gain @ covariance[g][o][:, m]
            firsts[b, g], seconds[b, g] = full, torch.outer(full, full) + spread
            score[b, g] = log_mix[g]
            if len(o):
                score[b, g] += MultivariateNormal(loc[g, o], covariance[g][o][:, o]).log_prob(row[o])
            if not label[b].isnan():
                score[b, g] += emphasis * table[int(label[b]), g].log()
    shares = score.softmax(-1)
    counts = shares.sum(0)
    mean = torch.einsum("bg,bgn->gn", shares, firsts) / counts[:, None]
    second = torch.einsum("bg,bgnm->gnm", shares, seconds) / counts[:, None, None]
    states = torch.stack([shares[label[:, 0] == state].sum(0) for state in range(3)])
    return mean, second - mean[:, :, None] * mean[:, None], counts, states / states.sum(0), score.logsumexp(-1).sum()


@pytest.mark.parametrize("emphasis", [1.0, 4.0])
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_a_step_is_that_of_dense_normals(gaps, emphasis):
    value, label = (x.double() for x in rows_of(40, size=3))
    value, label = some_missing(value, gaps), some_missing(label, 0.4)
    value[0] = torch.nan
    vector = ClusteredVector(value, shrinkage=0.0, floor=0.0)
    torch.manual_seed(0)
    tables = ClusteredTables(label, LABEL, pseudo=0.0)
    mixture = Clusters([vector], tables, emphasis)
    mixture.start(torch.tensor([1, 2, 3, 4]))
    everything = torch.arange(40)
    x = vector.x.masked_fill(value.isnan(), torch.nan)
    for _ in range(2):
        before = vector.law.loc, vector.law.covariance, mixture.log_mix, tables.probs
        mean, covariance, counts, table, total = dense_step(x, *before, label, emphasis)
        torch.testing.assert_close(mixture.step(everything, 1.0), total, rtol=1e-10, atol=0)
        torch.testing.assert_close(vector.law.loc, mean, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(vector.law.covariance, covariance, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(mixture.log_mix.exp(), (counts + 0.25) / 41, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(tables.probs, table, rtol=1e-8, atol=1e-10)


def test_every_step_raises_the_likelihood_of_what_is_observed():
    value, label = (x.double() for x in rows_of(400, size=4))
    value, label = some_missing(value, 0.25), some_missing(label, 0.5)
    mixture = Clusters([ClusteredVector(value, shrinkage=0.0, floor=0.0)], ClusteredTables(label, LABEL, pseudo=0.0))
    mixture.start(torch.arange(6))
    steps = torch.stack([mixture.step(torch.arange(400), 1.0) for _ in range(12)])
    assert (steps.diff() > -1e-6 * len(value)).all(), steps.diff()
    assert steps[-1] > steps[0] + 100


def test_rows_in_chunks_are_the_same_rows():
    value = some_missing(rows_of(50)[0].double(), 0.2)
    laws = []
    for chunk in (50, 7):
        mixture = Clusters([ClusteredVector(value)])
        mixture.start(torch.arange(3))
        mixture.chunk = chunk
        mixture.step(torch.arange(50), 1.0)
        laws.append(mixture.vectors[0].law)
    torch.testing.assert_close(laws[0].covariance, laws[1].covariance, rtol=1e-10, atol=1e-12)


def test_unseen_rows_are_as_probable_as_under_scikit_learn():
    value, _ = rows_of(4000, groups=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        rival = GaussianMixture(8, covariance_type="full", random_state=0).fit(value[:2000].numpy())
    torch.manual_seed(0)
    fit = fit_vector_mixture([VectorRows(value[:2000])], 8)
    assert likelihood(fit, value[2000:]) > rival.score(value[2000:].numpy()) - 0.05


def test_few_rows_do_not_overfit():
    """Far fewer rows than parameters: not much worse than the one normal that the rows come from."""
    torch.manual_seed(0)
    value = torch.randn(3000, 20) @ torch.randn(20, 20)
    fit = fit_vector_mixture([VectorRows(value[:1000])], 25)
    single = MultivariateNormal(value[:1000].mean(0), value[:1000].T.cov())
    assert likelihood(fit, value[1000:]) > single.log_prob(value[1000:]).mean() - 3.5
    assert likelihood(fit, value[:1000]) < single.log_prob(value[:1000]).mean() + 4.5


def test_shrinkage_is_little_where_covariances_differ_and_much_where_they_do_not():
    def probable(value):
        torch.manual_seed(0)
        mixture = Clusters([ClusteredVector(value)])
        mixture.start(torch.arange(10))
        for _ in range(15):
            mixture.step(torch.arange(len(value)), 1.0)
        return mixture.vectors[0].probable

    assert probable(rows_of(1000, apart=4.0)[0]) < 1.0
    assert probable(rows_of(1000, groups=1)[0]) > 3.0


@pytest.mark.parametrize(("hidden", "right"), [(0.0, 0.93), (0.7, 0.92), (0.99, 0.88)])
def test_labelled_rows_shape_the_clusters_and_the_others_follow(hidden, right):
    value, label = rows_of(6000)
    observed, labels = value[:3000], some_missing(label[:3000], hidden)
    torch.manual_seed(0)
    fit = fit_vector_mixture([VectorRows(observed)], 20, labels, LABEL)
    share, log_prob = right_labels(fit, value[3000:], label[3000:])
    known = ~labels[:, 0].isnan()
    torch.manual_seed(0)
    alone = fit_vector_mixture([VectorRows(observed[known])], 20, labels[known], LABEL)
    if hidden:
        assert log_prob > right_labels(alone, value[3000:], label[3000:])[1] + 0.005
    means = KMeans(20, n_init=1, random_state=0).fit(observed.numpy())
    usual = torch.zeros(20, 3).index_add_(
        0,
        torch.from_numpy(means.labels_).long()[known],
        torch.nn.functional.one_hot(labels[known, 0].long(), 3).float(),
    )
    nearest = torch.from_numpy(means.predict(value[3000:].numpy())).long()
    assert share > (usual[nearest].argmax(1) == label[3000:, 0]).float().mean() + 0.01
    assert share > right


def test_clusters_without_labels_take_after_those_near_them():
    torch.manual_seed(0)
    group = torch.arange(900) % 3
    value = 6.0 * group[:, None] + torch.randn(900, 2)
    label = torch.full((900, 1), torch.nan)
    label[:6, 0] = group[:6].float()
    fit = fit_vector_mixture([VectorRows(value)], 30, label, LABEL)
    assert right_labels(fit, value, group.float()[:, None])[0] > 0.97


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low-rank"])
def test_every_covariance_is_of_its_kind_and_explains_rows(covariance):
    value, _ = rows_of(2000, groups=3)
    value = 1000 + value * torch.logspace(-3, 3, 5)
    torch.manual_seed(0)
    fit = fit_vector_mixture([VectorRows(value, covariance, 2)], 4)
    shapes = {"full": [(4, 5), (4, 5, 5)], "diagonal": [(4, 5), (4, 5)], "low-rank": [(4, 5), (4, 5, 2), (4, 5)]}
    assert [tuple(part.shape) for part in fit.vectors[0]] == shapes[covariance]
    if covariance == "full":
        factor = fit.vectors[0][1]
        assert (factor.triu(1) == 0).all()
        assert (factor.diagonal(dim1=-2, dim2=-1) > 0).all()
    single = MultivariateNormal(value.double().mean(0), torch.diag(value.double().var(0)))
    wide = [tuple(part.double() for part in vector) for vector in fit.vectors]
    assert likelihood(fit._replace(vectors=wide), value.double()) > single.log_prob(value.double()).mean() + 0.3


def test_a_low_rank_is_recovered():
    torch.manual_seed(0)
    loadings, scale = torch.randn(3, 8, 2).double(), torch.rand(3, 8).double() + 0.5
    covariance = loadings @ loadings.mT + torch.diag_embed(scale.square())
    fit = None
    for _ in range(200):
        fit = factored(covariance, fit, 2)
    torch.testing.assert_close(fit[0] @ fit[0].mT + torch.diag_embed(fit[1].square()), covariance, rtol=0, atol=3e-3)


@pytest.mark.slow
def test_several_vectors_stand_beside_columns_of_other_kinds():
    value, label = rows_of(1500)
    value, label = some_missing(value, 0.05), some_missing(label, 0.3)
    others = torch.cat([value[:, 4:], label], 1)
    variables = pp.distributions.Variables(
        {"c": pp.Continuous(4), "label": pp.Discrete(3)}, torch.zeros(1, 4), torch.ones(1, 4)
    )
    torch.manual_seed(0)
    fit = fit_vector_mixture([VectorRows(value[:, :2]), VectorRows(value[:, 2:4], "diagonal")], 10, others, variables)
    assert [tuple(part.shape) for part in fit.others.log_probs] == [(1, 4, 10), (1, 3, 10)]
    assert fit.others.loc.shape == (1, 4)
    for part in fit.others.log_probs:
        torch.testing.assert_close(part.exp().sum(1), torch.ones(1, 10))
    known = ~others[:, 1].isnan() & ~value.isnan().any(1)
    weights = densities(fit.vectors[0], value[known, :2]) + densities(fit.vectors[1], value[known, 2:4]) + fit.log_mix
    probs = weights.softmax(-1) @ fit.others.log_probs[1][0].exp().T
    assert (probs.argmax(1) == others[known, 1]).float().mean() > 0.75


def strange_rows():
    value = rows_of(300)[0]
    lonely, hidden, constant = value.clone(), value.clone(), value.clone()
    lonely[0], hidden[:, 2], constant[:, 1] = 1000.0, torch.nan, 3.0
    return {
        "few": value[:3],
        "single": value[:1],
        "equal": value[:1].repeat(20, 1),
        "lonely": lonely,
        "hidden column": hidden,
        "constant column": constant,
        "hidden": torch.full((4, 5), torch.nan),
        "dependent": value @ torch.ones(5, 5),
        "far": value + 1e5,
    }


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low-rank"])
@pytest.mark.parametrize("name", strange_rows())
@pytest.mark.slow
def test_strange_rows_leave_laws_that_are_laws(name, covariance):
    value = strange_rows()[name]
    torch.manual_seed(0)
    fit = fit_vector_mixture([VectorRows(value, covariance, 2)], 12)
    assert all(part.isfinite().all() for part in (*fit.vectors[0], fit.log_mix))
    torch.testing.assert_close(fit.log_mix.exp().sum(), torch.tensor(1.0))
    if covariance == "full":  # no column is left a smaller scale than a hundredth of its own
        scale = 1 / fit.vectors[0][1].diagonal(dim1=-2, dim2=-1)
        spread = (value - value.nanmean(0)).square().nanmean(0).sqrt().nan_to_num(1.0)
        assert (scale > 0.0099 * spread).all()
        assert (scale > 0).all()


def test_a_cluster_without_rows_has_the_law_within_clusters():
    sums = Moments(torch.tensor([0.0, 50.0]), torch.zeros(2, 3), torch.stack([torch.zeros(3, 3), 20 * torch.eye(3)]))
    spread = Spread.of(sums)
    torch.testing.assert_close(spread.loc, torch.zeros(2, 3))
    torch.testing.assert_close(spread.covariance(3.0)[0], spread.within)


def test_a_seed_decides_and_nothing_else():
    value, label = rows_of(500)
    fits = []
    for _ in range(2):
        torch.manual_seed(3)
        fits.append(fit_vector_mixture([VectorRows(value)], 5, label, LABEL))
    assert all(torch.equal(a, b) for a, b in zip(fits[0].vectors[0], fits[1].vectors[0], strict=True))
    assert torch.equal(fits[0].log_mix, fits[1].log_mix)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mixture_of_vectors_alone(dtype):
    value = rows_of(500)[0].to(dtype)
    torch.manual_seed(0)
    loc, factor, log_weights = fit_full_mixture(value, 6)
    assert (loc.shape, factor.shape, log_weights.shape) == ((6, 5), (6, 5, 5), (6,))
    assert {loc.dtype, factor.dtype, log_weights.dtype} == {dtype}
