"""Priors fitted alone to codes, with and without labels."""

import pytest
import torch

import pyro_priors as pp
from pyro_priors.training import fit_prior

NAN = torch.nan


def two_clusters(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (rows,), generator=generator).float()
    return torch.randn(rows, 4, generator=generator) * 0.5 + (2 * label - 1)[:, None], label[:, None]


@pytest.mark.parametrize(
    "make",
    [
        lambda: pp.GaussianMixture(4, 2),
        lambda: pp.GaussianMixture(4, 2, covariance="full"),
        lambda: pp.TRIP(4, components=3, rank=3),
    ],
)
def test_it_approaches_the_true_law(make):
    torch.manual_seed(0)
    z, _ = two_clusters(4000)
    held_out, _ = two_clusters(4000, seed=1)
    prior = make()
    result = fit_prior(prior, z, epochs=15)
    components = torch.stack([torch.distributions.Normal(s, 0.5).log_prob(held_out).sum(-1) for s in (-1.0, 1.0)])
    truth = components.logsumexp(0).mean() - torch.tensor(2.0).log()
    assert truth - 0.03 < prior().log_prob(held_out).mean() < truth + 0.01
    assert result.best_loss < 0.01 - truth + 0.2


def test_training_gains_over_the_start():
    """From noise cores the start knows nothing of the dependence between the codes."""
    z, _ = two_clusters(2000)
    losses = []
    for lr in (1e-30, 1e-2):
        torch.manual_seed(0)
        losses.append(fit_prior(pp.TRIP(4, components=3, rank=3, init="noise"), z, epochs=20, lr=lr).best_loss)
    assert losses[1] < losses[0] - 0.5


def test_codes_are_drawn_afresh_around_their_means(monkeypatch):
    torch.manual_seed(0)
    loc, scale = torch.full((500, 2), 3.0), torch.tensor([0.5, 2.0]).expand(500, 2)
    prior, seen = pp.GaussianMixture(2, 1), []
    monkeypatch.setattr(type(prior()), "log_prob", spy(type(prior()).log_prob, seen))
    fit_prior(prior, loc, scale=scale, epochs=20, batch_size=450)
    assert (prior().mean - 3).abs().max() < 0.2
    assert (prior().variance.sqrt() - torch.tensor([0.5, 2.0])).abs().max() < 0.15
    batches = [value.sort(0).values for value in seen if len(value) == 450]
    assert len(batches) > 2
    assert all((batch != batches[0]).any() for batch in batches[1:])


def spy(method, seen):
    def log_prob(self, value):
        seen.append(value.detach())
        return method(self, value)

    return log_prob


@pytest.mark.parametrize("decay", [True, False])
def test_the_rate_falls_to_zero(decay, monkeypatch):
    torch.manual_seed(0)
    z, _ = two_clusters(2000)
    step, rates = torch.optim.Adam.step, []
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self, *rest: (rates.append(self.param_groups[0]["lr"]), step(self, *rest))[1]
    )
    fit_prior(pp.GaussianMixture(4, 2), z, epochs=4, lr=1e-3, decay=decay, patience=9)
    assert rates[0] == 1e-3
    assert (rates[-1] < 1e-5) == decay


def test_what_a_prior_has_learned_is_not_thrown_away():
    """`reinitialize` starts a prior with init="noise" anew; that is kept only if it explains the codes better."""
    torch.manual_seed(0)
    z, _ = two_clusters(2000)
    prior = pp.TRIP(4, components=3, rank=3, init="noise")
    fit_prior(prior, z, epochs=20)
    learned = prior().log_prob(z).mean()
    fit_prior(prior, z, epochs=1, lr=1e-9)
    assert prior().log_prob(z).mean() > learned - 0.02


def test_a_training_that_only_harms_leaves_the_start():
    torch.manual_seed(0)
    z, _ = two_clusters(100)
    prior = pp.GaussianMixture(4, 2)
    result = fit_prior(prior, z, epochs=3, lr=2.0)
    assert result.best_epoch == 0
    assert abs(prior.loc[:, 0].abs() - 1).max() < 0.5


def test_labels_are_learned_where_they_are_known():
    torch.manual_seed(0)
    z, y = two_clusters(2000)
    hidden = torch.where(torch.rand(len(y), 1) < 0.7, NAN, y)
    prior = pp.TTLP(4, {"label": pp.Discrete(2)}, components=3, rank=3)
    fit_prior(prior, z, hidden, epochs=5)
    test, truth = two_clusters(2000, seed=1)
    guess = prior().most_probable(torch.cat([test, torch.full_like(truth, NAN)], -1))[:, 4:]
    assert (guess == truth).float().mean() > 0.99


def mixture():
    return pp.GaussianMixture(4, 2)


BAD = {
    "too few codes": (
        lambda: fit_prior(mixture(), torch.zeros(9, 4)),
        r"z: expected shape \(n, 4\) with n >= 10, got \(9, 4\)",
    ),
    "nothing to learn": (lambda: fit_prior(pp.StandardNormal(4), torch.zeros(20, 4)), "one with parameters"),
    "an encoder": (lambda: fit_prior(pp.VampPrior(torch.rand(5, 4)), torch.zeros(20, 4)), "one that takes no encoder"),
    "codes of another size": (lambda: fit_prior(mixture(), torch.zeros(20, 3)), r"z: expected shape \(n, 4\)"),
    "labels for a prior without": (lambda: fit_prior(mixture(), torch.zeros(20, 4), torch.zeros(20, 1)), "y: expected"),
    "scales of another size": (
        lambda: fit_prior(mixture(), torch.zeros(20, 4), scale=torch.ones(20, 3)),
        r"scale: expected shape \(20, 4\) and no negative entries, got \(20, 3\)",
    ),
    "scales beside laws": (
        lambda: fit_prior(
            mixture(),
            torch.distributions.Independent(torch.distributions.Normal(torch.zeros(20, 4), 1.0), 1),
            scale=torch.ones(20, 4),
        ),
        "scale: expected None beside laws",
    ),
    "negative scales": (lambda: fit_prior(mixture(), torch.zeros(20, 4), scale=-torch.ones(20, 4)), "got negative"),
    "a negative rate": (lambda: fit_prior(mixture(), torch.zeros(20, 4), lr=-1.0), "lr: expected a positive number"),
    "no batch": (lambda: fit_prior(mixture(), torch.zeros(20, 4), batch_size=0), "batch_size: expected"),
    "no epochs": (lambda: fit_prior(mixture(), torch.zeros(20, 4), epochs=0), "epochs: expected"),
}


def test_laws_are_taken_as_means_and_scales_or_as_draws():
    """And codes that vary little are trained on without a word: warnings are errors here."""
    z, _ = two_clusters(200)
    law = torch.distributions.Independent(torch.distributions.Normal(0.05 * z, 0.02), 1)
    results = []
    for given in ((law, {}), (0.05 * z, {"scale": torch.full_like(z, 0.02)})):
        torch.manual_seed(0)
        results.append(fit_prior(pp.GaussianMixture(4, 2), given[0], epochs=1, **given[1]).best_loss)
    assert results[0] == results[1]
    wide = torch.distributions.Independent(torch.distributions.Laplace(z, 0.1), 1)
    assert fit_prior(pp.GaussianMixture(4, 2), wide, epochs=1).best_loss < 10


def test_a_joint_prior_learns_from_codes_alone():
    torch.manual_seed(0)
    z, _ = two_clusters(1000)
    prior = pp.TTLP(4, {"label": pp.Discrete(2)}, components=3, rank=3)
    before = prior().marginal("z").log_prob(z).mean()
    fit_prior(prior, z, epochs=3)
    assert prior().marginal("z").log_prob(z).mean() > before + 1


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def linked(rows=600, columns=6, seed=0):
    """Binary columns, each like its neighbour, with gaps."""
    generator = torch.Generator().manual_seed(seed)
    flips = torch.rand(rows, columns, generator=generator) < 0.2
    flips[:, 0] = torch.rand(rows, generator=generator) < 0.5
    value = (flips.cumsum(1) % 2).float()
    value[torch.rand(value.shape, generator=generator) < 0.1] = torch.nan
    return value


def binary_table(**how):
    torch.manual_seed(0)
    return pp.TTLP(0, {f"x{k}": pp.Discrete(2) for k in range(6)}, **{"rank": 4, "order": "data", **how})


@pytest.mark.parametrize("method", ["adam", "em"])
@pytest.mark.slow
def test_rows_of_a_table_alone(method):
    rows, held_out = linked(), linked(seed=1)
    prior = binary_table(cores="factored")
    with torch.no_grad():
        start = prior().log_prob(held_out).mean()
    result = fit_prior(prior, rows, validation=held_out, method=method, epochs=8, seed=0)
    score = prior().log_prob(held_out).mean()
    assert -result.best_loss == pytest.approx(score.item(), abs=1e-4)
    assert score > start + 0.3
    assert bool(prior.order_laid)
    again = binary_table(cores="factored")
    assert fit_prior(again, y=rows, validation=held_out, method=method, epochs=8, seed=0).best_loss == result.best_loss
    assert all(torch.equal(a, b) for a, b in zip(prior.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("method", ["adam", "em"])
def test_a_fit_that_was_cut_off_ends_as_if_it_had_not_been(method, tmp_path):
    rows, how = linked(), {"method": method, "seed": 0, "patience": 100}
    whole, parts = binary_table(cores="factored"), binary_table(cores="factored")
    fit_prior(whole, rows, epochs=4, decay=False, run_dir=tmp_path / "whole", **how)
    fit_prior(parts, rows, epochs=2, decay=False, run_dir=tmp_path / "parts", **how)
    parts = binary_table(cores="factored")
    fit_prior(parts, rows, epochs=4, decay=False, run_dir=tmp_path / "parts", resume=True, **how)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))


def test_pseudo_rows_keep_small_data_apart_from_certainty():
    rows = linked(rows=12)
    prior = binary_table(cores="factored")
    fit_prior(prior, rows, epochs=40, seed=0)
    assert prior().state_probs(torch.full((6,), torch.nan)).min() > 0.01
    assert min(part.min() for part in prior().emissions) > 1e-4


def test_mistakes_of_tables():
    with pytest.raises(ValueError, match=r"validation: expected shape \(n, 6\) with n >= 1, got \(3, 5\)"):
        fit_prior(binary_table(), linked(), validation=torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"prior: expected a learnable TRIP or TTLP .*, got TTLP with cores='full'$"):
        fit_prior(binary_table(cores="full"), linked(), method="em")
    with pytest.raises(ValueError, match="method: expected one of 'adam', 'em', got 'sgd'"):
        fit_prior(binary_table(), linked(), method="sgd")
    rows = linked()
    rows[4, 1] = 2
    with pytest.raises(ValueError, match=r"x1: expected one of 0..1 or NaN at index \(\d+, 1\), got 2.0"):
        fit_prior(binary_table(), rows)


def test_columns_with_ties_and_constant_ones_keep_a_width():
    """Densities of a point have no bound: a pseudo row a component has the column's own spread."""
    torch.manual_seed(0)
    whole = torch.randint(0, 5, (300,)).float()
    prior = pp.TTLP(0, {"k": pp.Continuous(6), "c": pp.Continuous(2), "d": pp.Discrete(2)}, rank=8)
    result = fit_prior(prior, torch.stack([whole, torch.full((300,), 3.0), (whole > 2).float()], -1), seed=0, epochs=60)
    assert result.history
    assert prior().variance[0].item() == pytest.approx(2.0, rel=0.3)
    assert prior.log_scale.exp().min() > 1e-6


def test_the_same_rows_are_held_out_when_a_fit_resumes(tmp_path, monkeypatch):
    from pyro_priors.training import prior_fitting

    held = []
    whole = prior_fitting._Start.__init__
    monkeypatch.setattr(
        prior_fitting._Start, "__init__", lambda self, prior, rows: (held.append(rows), whole(self, prior, rows))[1]
    )
    rows = linked()
    fit_prior(binary_table(), rows, epochs=1, run_dir=tmp_path)
    torch.rand(3)
    fit_prior(binary_table(), rows, epochs=2, run_dir=tmp_path, resume=True)
    assert torch.equal(held[0].nan_to_num(7), held[-1].nan_to_num(7))
