"""Where the parameters of the priors start, and what re-initialisation from data does to them."""

import warnings

import pytest
import torch
from catalogue import NAN
from odd_codes import ODD

import pyro_priors as pp
from pyro_priors.metrics import mutual_information
from pyro_priors.modules.starting.fitting import fit_mixture
from pyro_priors.modules.starting.initialise import fit_mixture_1d, fit_product_mixture
from pyro_priors.modules.starting.starts import near_diagonal_cores

FULL = {"cores": "full", "order": "random"}


def two_clusters(rows=1000, dims=8, seed=0):
    """Codes whose every dimension tells the same hidden label: dependence along the whole chain."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (rows,), generator=generator).float()
    sign = torch.where(torch.arange(dims) % 2 == 0, 1.0, -1.0)
    z = 0.4 * torch.randn(rows, dims, generator=generator) + (2 * label - 1)[:, None] * sign
    return z, label[:, None]


def test_mixture_cores_forget_almost_nothing_and_noise_cores_everything():
    """How much the first of 32 variables still says about the last one's state."""

    def dependence(init):
        torch.manual_seed(0)
        prior = pp.TTLP(
            0, {f"v{k}": pp.Discrete(4) for k in range(32)}, rank=20, order="declared", init=init, cores="full"
        )
        laws = prior().condition(v0=torch.arange(4.0)).categorical("v31").probs
        return (laws - laws.mean(0)).abs().max()

    assert dependence("mixture") > 1e-2
    assert dependence("noise") < 1e-6


@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_off_diagonal_entries_are_within_the_bound(boundary):
    prior = pp.TRIP(6, components=5, rank=4, boundary=boundary)
    for _ in range(2):
        cores = prior.log_cores.detach()
        diagonal = cores.diagonal(dim1=-2, dim2=-1)
        smaller = torch.minimum(diagonal.unsqueeze(-1), diagonal.unsqueeze(-2))
        ratio = (cores - smaller)[..., ~torch.eye(4, dtype=torch.bool)].exp()
        assert ratio.max() <= 1 / (10 * 4 * 6) * (1 + 1e-5)
        assert prior.reinitialize(two_clusters(dims=6)[0], force=True)


@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_reinitialisation_finds_dependence_between_all_dimensions(boundary):
    torch.manual_seed(0)
    z, _ = two_clusters()
    held_out, _ = two_clusters(seed=1)
    prior = pp.TRIP(8, components=4, rank=4, boundary=boundary)
    assert prior.reinitialize(z)
    truth = torch.stack(
        [
            torch.distributions.Normal(s * torch.tensor([1.0, -1.0]).repeat(4), 0.4).log_prob(held_out).sum(-1)
            for s in (1, -1)
        ]
    )
    truth = (truth.logsumexp(0) - torch.tensor(2.0).log()).mean()
    assert prior().log_prob(held_out).mean() > truth - 0.35  # independent dimensions would lose 7 x log 2 = 4.9
    assert prior().log_prob(held_out).mean() < truth


def test_reinitialisation_learns_labels_from_a_few():
    torch.manual_seed(0)
    z, y = two_clusters()
    hidden = y.clone()
    hidden[torch.rand(len(y)) < 0.9] = NAN
    prior = pp.TTLP(8, {"label": pp.Discrete(2)}, components=4, rank=4, **FULL)
    assert prior.reinitialize(z, hidden)
    guess = prior().most_probable(torch.cat([z, torch.full_like(y, NAN)], -1))[:, 8:]
    assert (guess == y).float().mean() > 0.99


@pytest.mark.parametrize("make", [lambda: pp.TRIP(8, components=4, rank=4), lambda: pp.GaussianMixture(8, 4)])
def test_reinitialisation_keeps_what_was_learned(make):
    """A prior that has learned the law of the codes beats a fit to sixty of them, and is left bit for bit."""
    torch.manual_seed(0)
    z, _ = two_clusters(5000)
    prior = make()
    assert prior.reinitialize(z)
    learned = {key: value.clone() for key, value in prior.state_dict().items()}
    assert not prior.reinitialize(z[:60])
    assert all(torch.equal(value, learned[key]) for key, value in prior.state_dict().items())
    assert prior.reinitialize(z[:60], force=True)
    assert not torch.equal(prior.loc, learned["loc"])


def test_the_papers_schedule_resets_the_cores_to_noise():
    torch.manual_seed(0)
    z, _ = two_clusters()
    prior = pp.TRIP(8, components=2, rank=4, init="noise")
    before = prior.log_cores.clone()
    assert prior.reinitialize(z)
    assert not torch.equal(prior.log_cores, before)
    # Logarithms of squared N(0, 1) / (N m^2): mean 2 E log|n| = -1.27 and variance pi^2 / 2 beside the constant.
    centred = prior.log_cores.detach() + 2 * torch.tensor(2.0 * 4**2).log()
    assert abs(centred.mean() + 1.27) < 0.5
    assert abs(centred.var() - torch.pi**2 / 2) < 3  # four standard errors
    order = prior.loc.sort(-1).values
    torch.testing.assert_close(order, torch.tensor([[-1.0, 1.0]]).expand(8, 2), atol=0.1, rtol=0)
    torch.testing.assert_close(prior.log_scale.exp(), torch.full((8, 2), 0.4), atol=0.1, rtol=0)


@pytest.mark.parametrize("init", ["mixture", "noise"])
def test_in_place_and_a_fixed_prior_is_left_alone(init):
    z, _ = two_clusters()
    prior = pp.TRIP(8, rank=4, init=init)
    addresses = [p.data_ptr() for p in prior.parameters()]
    assert prior.reinitialize(z)
    assert addresses == [p.data_ptr() for p in prior.parameters()]
    assert all(p.requires_grad for p in prior.parameters())
    fixed = pp.TRIP(8, rank=4, init=init, fixed=True)
    before = fixed.log_cores.clone()
    assert not fixed.reinitialize(z)
    assert torch.equal(fixed.log_cores, before)


@pytest.mark.parametrize("weights", ["learned", "equal"])
def test_gaussian_mixture_is_fitted(weights):
    torch.manual_seed(0)
    z, _ = two_clusters()
    prior = pp.GaussianMixture(8, 2, weights)
    assert prior.reinitialize(z)
    assert not prior.reinitialize(z[:100]) or prior().log_prob(z).mean() > -12
    order = prior.loc[prior.loc[:, 0].argsort()]
    torch.testing.assert_close(order, torch.tensor([[-1.0, 1.0], [1.0, -1.0]]).repeat(1, 4), atol=0.1, rtol=0)
    assert torch.equal(prior.logits, torch.zeros(2)) == (weights == "equal")
    fixed = pp.GaussianMixture(8, 2, weights, fixed=True)
    assert not fixed.reinitialize(z)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("prior", [pp.TRIP(3, 4, 5), pp.TRIP(3, 4, 5, init="noise"), pp.GaussianMixture(3, 4)])
def test_odd_codes(odd, prior):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert prior.reinitialize(ODD[odd], force=True)
    assert bool(seen) == (odd in ("a constant dimension", "all rows equal"))
    assert all(p.isfinite().all() for p in prior.parameters())
    assert prior().log_prob(ODD[odd]).isfinite().all()


def test_an_attribute_missing_in_every_row_keeps_its_law():
    """Open where nothing was learned of it, and what was learned where something was."""
    torch.manual_seed(0)
    z, y = two_clusters(1000)
    fresh = pp.TTLP(8, {"digit": pp.Discrete(3), "age": pp.Continuous(2)}, rank=4, **FULL)
    age, digit = fresh().marginal("age").mean, fresh().categorical("digit").probs
    assert fresh.reinitialize(z)
    assert (fresh().categorical("digit").probs - digit).abs().max() < 0.1
    assert (fresh().marginal("age").mean - age).abs() < 0.15

    learned = pp.TTLP(8, {"label": pp.Discrete(2)}, components=4, rank=4, **FULL)
    assert learned.reinitialize(z, y)
    assert learned.reinitialize(z, force=True)
    guess = learned().most_probable(torch.cat([z, torch.full_like(y, NAN)], -1))[:, 8:]
    assert (guess == y).float().mean() > 0.99


@pytest.mark.parametrize(
    "make", [lambda: pp.TRIP(8, rank=4), lambda: pp.TRIP(8, rank=4, init="noise"), lambda: pp.GaussianMixture(8, 3)]
)
def test_codes_of_another_precision(make):
    prior = make().double()
    assert prior.reinitialize(two_clusters(200)[0])
    assert all(p.dtype == torch.float64 for p in prior.parameters())


def test_one_dimensional_mixture():
    torch.manual_seed(0)
    column = torch.cat([torch.randn(500) * 0.1 - 1, torch.randn(500) * 0.2 + 1])
    loc, scale = fit_mixture_1d(column, 2)
    torch.testing.assert_close(loc.sort().values, torch.tensor([-1.0, 1.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(scale[loc.argsort()], torch.tensor([0.1, 0.2]), atol=0.03, rtol=0)


def test_repeated_components_share_the_weight_of_one():
    torch.manual_seed(0)
    rows = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [5.0, 5.0]])
    loc, _, logits = fit_mixture(rows, 5)
    weight = logits.softmax(0)
    torch.testing.assert_close(weight[loc[:, 0] > 2.5].sum(), torch.tensor(0.25))


def test_each_column_has_a_floor_of_its_own():
    torch.manual_seed(0)
    rows = torch.randn(500, 2) * torch.tensor([1e-4, 10.0])
    _, scale, _ = fit_mixture(rows, 1)
    torch.testing.assert_close(scale[0], torch.tensor([1e-4, 10.0]), rtol=0.1, atol=0)
    rows[:, 1] = 7
    _, scale, _ = fit_mixture(rows, 1)
    torch.testing.assert_close(scale[0], torch.tensor([1e-4, 1e-3]), rtol=0.1, atol=0)  # of a constant: 0.001


def test_small_clusters_are_shrunk_towards_the_column():
    """Clusters of twelve rows over 24 columns of pure noise: without shrinkage they explain noise that is not there."""
    torch.manual_seed(0)
    z, held_out = torch.randn(240, 24), torch.randn(2000, 24)

    def loss(shrinkage):
        variables = pp.distributions.Variables({"z": [pp.Continuous(5)] * 24}, torch.zeros(24, 5), torch.ones(24, 5))
        mixture = fit_product_mixture(z, variables, clusters=20, shrinkage=shrinkage)
        cores = near_diagonal_cores(mixture.log_probs[0], mixture.log_mix)
        law = pp.distributions.TensorRing(cores, variables.bind(mixture.loc, mixture.scale))
        return torch.distributions.Normal(0.0, 1.0).log_prob(held_out).sum(-1).mean() - law.log_prob(held_out).mean()

    assert loss(5.0) < 0.5 * loss(0.0)


def test_neighbours_share_what_others_do_not():
    """One cluster of three local values: adjacent attributes depend on each other, distant ones hardly."""
    torch.manual_seed(0)
    attributes = {f"a{k}": pp.Discrete(3) for k in range(6)}
    prior = pp.TTLP(0, attributes, rank=3, order="declared", local=3, cores="full")

    _, information = mutual_information(prior())
    near, far = information.diagonal(1), [information[0, 3], information[1, 5]]
    assert min(near) > 1e-3
    assert max(far) < 0.2 * min(near)
    _, of_one_cluster = mutual_information(pp.TTLP(0, attributes, rank=1, order="declared", cores="full")())
    assert of_one_cluster.diagonal(1).abs().max() < 1e-9


@pytest.mark.slow
def test_attributes_that_vary_by_themselves_are_learned_sooner_with_local_values():
    """Eight latents, each telling one attribute: of 2^8 combinations a mixture of six can hold few."""
    torch.manual_seed(0)
    z = torch.randn(3000, 8)
    y = (z > 1).float()
    order = [column for k in range(8) for column in (k, 8 + k)]
    scores = {}
    for local in (1, 3):
        torch.manual_seed(1)
        prior = pp.TTLP(8, {f"a{k}": pp.Discrete(2) for k in range(8)}, 4, 6, order=order, local=local, cores="full")
        prior.reinitialize(z, y)
        optimizer = torch.optim.Adam(prior.parameters(), lr=0.02)
        for step in range(150):
            rows = torch.arange(200) + 200 * (step % 14)
            optimizer.zero_grad()
            (-prior().log_prob(torch.cat([z[rows], y[rows]], -1)).mean()).backward()
            optimizer.step()
        law = prior().condition(z=z[2800:]).marginal("y").log_prob(y[2800:])
        scores[local] = law.mean().item()
    assert scores[3] > scores[1] + 0.3


@pytest.mark.parametrize("clusters", [1, 3])
@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_local_values_leave_every_variable_its_law(boundary, clusters):
    torch.manual_seed(0)
    log_probs, log_mix = 2 * torch.randn(12, 4, clusters), torch.randn(clusters).log_softmax(0)
    log_probs = log_probs.log_softmax(1)
    wanted = (log_probs.exp() * log_mix.exp()).sum(-1)
    variables = pp.distributions.Variables({f"a{k}": pp.Discrete(4) for k in range(12)})
    for local in (1, 2, 3, 5):
        cores = near_diagonal_cores(log_probs, log_mix, local)
        law = pp.distributions.TensorRing(cores, variables, boundary)
        probs = law.state_probs(torch.full((12,), torch.nan))
        assert (probs - wanted).abs().max() < (1e-3 if clusters == 1 else 0.05)  # clusters leak
        if local > 1:
            given = law.condition(a5=torch.arange(4.0)).categorical("a6").probs
            assert (given - given.mean(0)).abs().max() > 0.005


@pytest.mark.parametrize("local", [0, 4, 12])
def test_local_values_must_divide_the_rank(local):
    with pytest.raises(ValueError, match="local: expected"):
        pp.TRIP(3, rank=6, local=local)
    with pytest.raises(ValueError, match="local: expected 1 with init='noise'"):
        pp.TRIP(3, rank=6, init="noise", local=2)


@pytest.mark.parametrize("boundary", ["ring", "train"])
def test_local_values_survive_reinitialisation(boundary):
    torch.manual_seed(0)
    z = torch.cat([torch.randn(500, 3) - 3, torch.randn(500, 3) + 3])[torch.randperm(1000)]
    prior = pp.TRIP(3, 4, 6, boundary, local=2)
    before = prior().log_prob(z).mean()
    assert prior.reinitialize(z)
    assert prior().log_prob(z).mean() > before + 2
    assert "local=2" in repr(prior)
