"""What is taken away from a prior leaves the law that it should; the page of the figures."""

import json

import pytest
import torch
from catalogue import as_case
from fake_runs import newest
from torchvision_files import write_cifar10

import pyro_priors as pp
from experiments.__main__ import main
from experiments.anatomy.changes import changed, cut_bonds, drop_covariances, freeze_bonds, positions, shuffle_order
from experiments.anatomy.information import information, neighbour_information, pair_probs
from experiments.tables import results

ATTRIBUTES = {"digit": pp.Discrete(3), "age": pp.Continuous(2)}
CHAINS = {
    "ring": lambda: pp.TRIP(4, components=3, rank=3, init="noise"),
    "train": lambda: pp.TRIP(4, components=3, rank=4, boundary="train", local=2, order="random"),
    "factored": lambda: pp.TRIP(4, components=3, rank=4, cores="factored", init="noise"),
    "fixed": lambda: pp.TRIP(3, components=2, rank=2, cores="factored", fixed=True),
    "joint": lambda: pp.TTLP(2, ATTRIBUTES, components=4, rank=3, cores="full", order="random", init="noise"),
    "joint factored": lambda: pp.TTLP(2, ATTRIBUTES, components=4, rank=4, local=2, order="random"),
}
VECTORS = {
    "full": lambda: pp.TRIP(6, rank=4, block_size=2),
    "low-rank": lambda: pp.TRIP(6, rank=4, block_size=2, covariance="low-rank", factors=1, init="noise"),
    "full cores": lambda: pp.TRIP(6, components=3, rank=2, block_size=2, cores="full", init="noise"),
    "joint": lambda: pp.TTLP(4, ATTRIBUTES, rank=4, block_size=2, order="random"),
}


def made(make):
    torch.manual_seed(0)
    prior = make().double().requires_grad_(False)
    for leaf in prior.vectors:
        if leaf.coupling is not None:
            leaf.coupling.normal_(0, 0.5)
    return prior


@pytest.fixture(params=CHAINS)
def prior(request):
    return made(CHAINS[request.param])


@pytest.fixture(params=VECTORS)
def of_vectors(request):
    return made(VECTORS[request.param])


def test_cut_bonds_leave_the_product_of_the_marginals(prior):
    law, cut, value = prior(), cut_bonds(prior)(), prior().sample((20,))
    alone = sum(law.marginal([column]).log_prob(value[:, [column]]) for column in range(value.shape[1]))
    torch.testing.assert_close(cut.log_prob(value), alone)
    assert (law.log_prob(value) - alone).abs().max() > 1e-3
    torch.testing.assert_close(cut.marginal([0, 2]).mean, law.marginal([0, 2]).mean, equal_nan=True)


def test_cut_bonds_leave_the_laws_of_the_vectors(of_vectors):
    law, value = of_vectors(), of_vectors().sample((20,))
    columns = [list(columns) for columns in law.variables.columns_of]
    alone = sum(law.marginal(part).log_prob(value[:, part]) for part in columns)
    torch.testing.assert_close(cut_bonds(of_vectors)().log_prob(value), alone)
    assert max(neighbour_information(cut_bonds(of_vectors))) < 1e-10
    assert min(neighbour_information(of_vectors)) > 1e-4


def test_frozen_bonds_of_vectors_leave_a_mixture():
    prior = made(VECTORS["full"])
    value, variables = prior().sample((20,)), prior().variables
    score = sum(part.log_density(value[:, list(variables.columns_of[v])]) for v, part in variables.gaussians.items())
    expected = (score + prior.initial_logits.log_softmax(0)).logsumexp(-1)
    torch.testing.assert_close(freeze_bonds(prior)().log_prob(value), expected)


@pytest.mark.parametrize("name", ["full", "low-rank", "full cores", "joint"])
def test_covariances_are_dropped_and_variances_stay(name):
    prior = made(VECTORS[name])
    law, other = prior(), drop_covariances(prior)()
    torch.testing.assert_close(other.mean, law.mean, equal_nan=True)
    torch.testing.assert_close(other.variance, law.variance, equal_nan=True)
    for v, part in other.variables.gaussians.items():
        factor = part.triangular(range(part.size))[1]
        torch.testing.assert_close(factor, torch.diag_embed(factor.diagonal(dim1=-2, dim2=-1)))
        assert law.variables.gaussians[v].triangular([0, 1])[1][:, 1, 0].abs().max() > 0.01
    assert changed(prior).keys() == {"cut", "frozen", "shuffled", "diagonal"}
    assert changed(pp.TRIP(4, rank=3, block_size=4)).keys() == {"diagonal"}  # a vector alone has no bond
    assert "diagonal" not in changed(pp.TRIP(4, rank=3, block_size=2, covariance="diagonal"))


def test_cut_bonds_of_a_mixture_leave_the_product_of_its_marginals():
    torch.manual_seed(0)
    prior = pp.GaussianMixture(3, 4).double().requires_grad_(False)
    prior.logits.normal_()
    law, cut, value = prior(), cut_bonds(prior)(), prior().sample((20,))
    alone = [pp.distributions.GaussianMixture(law.logits, law.loc[:, [k]], law.scale[:, [k]]) for k in range(3)]
    torch.testing.assert_close(cut.log_prob(value), sum(part.log_prob(value[:, [k]]) for k, part in enumerate(alone)))
    assert changed(prior).keys() == {"cut"}


def test_a_mixture_loses_its_covariances():
    torch.manual_seed(0)
    prior = pp.GaussianMixture(3, 4, covariance="full").double().requires_grad_(False)
    prior.coupling.normal_()
    law, parts = prior(), changed(prior)
    assert parts.keys() == {"cut", "diagonal"}
    value, cut, diagonal = law.sample((20,)), parts["cut"](), parts["diagonal"]()
    torch.testing.assert_close(diagonal.mean, law.mean)
    torch.testing.assert_close(diagonal.variance, law.variance)
    torch.testing.assert_close(cut.log_prob(value), sum(law.marginal([k]).log_prob(value[:, [k]]) for k in range(3)))
    scale = law.gaussians.moments()[1].sqrt()
    expected = pp.distributions.GaussianMixture(law.logits, law.loc, scale).log_prob(value)
    torch.testing.assert_close(diagonal.log_prob(value), expected)


def test_frozen_bonds_leave_a_mixture_of_product_laws(prior):
    case, value = as_case(prior), prior().sample((20,))
    variables = case.variables
    weights = []  # of each variable, (rows, states)
    for column in range(value.shape[1]):
        x = value[:, [column]]
        if variables.is_continuous[column]:
            leaf, states = list(variables.continuous).index(column), variables.num_states[column]
            weights.append(
                torch.distributions.Normal(variables.loc[leaf, :states], variables.scale[leaf, :states]).log_prob(x)
            )
        else:
            weights.append(torch.where(x == torch.arange(variables.num_states[column]), 0.0, -torch.inf))
    if prior.cores == "full":
        diagonals = case.tables[0].diagonal(dim1=-2, dim2=-1)  # (D, N, m)
        score = sum(
            (w[..., None] + diagonals[k, : w.shape[1]]).logsumexp(1) for k, w in enumerate(weights)
        )  # (rows, m)
        total = sum(diagonals[k, : w.shape[1]].logsumexp(0) for k, w in enumerate(weights)).logsumexp(0)
        expected = score.logsumexp(-1) - total
    else:
        emissions = [case.tables[1][k, : w.shape[1]].log_softmax(0) for k, w in enumerate(weights)]
        score = sum((w[..., None] + e).logsumexp(1) for w, e in zip(weights, emissions, strict=True))
        expected = (score + case.tables[0].log_softmax(0)).logsumexp(-1)
    torch.testing.assert_close(freeze_bonds(prior)().log_prob(value), expected)


def test_a_shuffled_order_moves_the_tables_with_their_variables(prior):
    other = shuffle_order(prior)
    assert sorted(positions(other)) == sorted(positions(prior))
    assert positions(other) != positions(prior)
    own, tables = prior.state_dict(), other.state_dict()
    assert all(torch.equal(own[name], tables[name]) for name in prior.form.names)


def test_changes_leave_the_prior_alone_and_a_chain_of_two_has_no_other_order(prior):
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    assert changed(prior).keys() == {"cut", "frozen", "shuffled"}
    assert all(torch.equal(value, before[name]) for name, value in prior.state_dict().items())
    assert changed(pp.TRIP(2, components=2, rank=2)).keys() == {"cut", "frozen"}
    assert changed(pp.TRIP(1, components=2, rank=2)) == changed(pp.StandardNormal(2)) == {}


def test_information_of_neighbours_is_that_of_draws(prior):
    """Of 200,000 draws of the states: 2 n I is chi-square above its mean, whose bias is (K1 - 1)(K2 - 1) / 2n."""
    torch.manual_seed(1)
    law = prior()
    states = law._chain.sample(law._evidence.log_weights, (200_000,))
    chain, carried = positions(prior), neighbour_information(prior)
    ring = prior.boundary == "ring"
    assert len(carried) == len(chain) - (not ring)
    for pair, value in zip(zip(chain, [*chain[1:], chain[0]], strict=True), carried, strict=False):
        counts = torch.zeros(12, 12).double()
        counts.index_put_((states[:, pair[0]], states[:, pair[1]]), torch.ones(200_000).double(), accumulate=True)
        assert information(counts) == pytest.approx(value, abs=2e-3)
        joint = pair_probs(prior, *pair)
        assert float(joint.sum()) == pytest.approx(1.0)
        drawn = counts[: joint.shape[0], : joint.shape[1]] / 200_000
        assert (drawn - joint).abs().max() < 5 * (0.25 / 200_000) ** 0.5  # once in a million entries
    assert max(neighbour_information(cut_bonds(prior))) < 1e-10


TINY = ["hidden=8", "epochs=1", "particles=2", "latent_dim=3", "batch_size=9", "turns=1"]


@pytest.mark.slow
def test_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "run", lambda arguments, log, name: main(arguments))
    write_cifar10(tmp_path, monkeypatch)
    runs, where = tmp_path / "runs", ["--results", str(tmp_path / "results"), "--data-root", str(tmp_path)]
    judge = ["--channels", "2", "--epochs", "1", "--runs-dir", str(runs), "--no-progress", "--binarize", "none"]
    assert main(["train", "classifier", "--data", "cifar10", "--data-root", str(tmp_path), *judge]) == 0
    flags = ["--classifier", str(newest(runs)), *where, "--runs-dir", str(runs), "--rows", "normal", "gmm", "lattice"]
    flags += ["gmm-full", "vectors", "ttlp-vector", "--set", "data=cifar10", *TINY]
    flags += ["vectors.block_size=2", "vectors.rank=3", "ttlp-vector.rank=4", "gmm-full.components=2"]
    assert main(["table", "prior-anatomy", *flags]) == 0
    page = (tmp_path / "results" / "prior-anatomy.md").read_text()
    assert page.count("| N(0, I) |") == 1  # nothing can be taken away
    assert page.count("| mixture of Gaussians |") == page.count("| mixture, full covariances |") == 3
    assert page.count("| lattice, a ring |") == page.count("| two vectors |") == 4
    assert page.count("| one vector and the attribute |") == 5
    assert (tmp_path / "results" / "prior-anatomy.png").is_file()
    result = json.loads((tmp_path / "results" / "prior-anatomy" / "ttlp-vector-seed0.json").read_text())
    assert result["anatomy"].keys() == {"whole", "cut", "frozen", "diagonal"}  # two variables have one order
    assert result["anatomy"]["whole"]["elbo"] == pytest.approx(result["test"]["elbo"])
    assert main(["table", "prior-anatomy", *flags]) == 0  # nothing is trained, and the page is the same
    assert (tmp_path / "results" / "prior-anatomy.md").read_text() == page
