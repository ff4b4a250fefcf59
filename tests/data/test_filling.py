"""Missing labels filled from other rows: what is known stays, what goes together goes together, what is not is."""

import torch

from pyro_priors.data.filling import filled


def hide(y, share=0.7):
    return torch.where(torch.rand_like(y) < share, torch.nan, y)


def test_what_is_known_stays_and_a_column_without_any_too():
    torch.manual_seed(0)
    y = torch.stack([torch.randint(5, (300,)).float(), torch.randn(300), torch.full((300,), torch.nan)], -1)
    hidden = hide(y)
    given = filled(hidden, [True, False, True])
    there = ~hidden.isnan()
    assert torch.equal(given[there], hidden[there])
    assert given[:, :2].isfinite().all()
    assert given[:, 2].isnan().all()
    assert set(given[:, 1].tolist()) <= set(hidden[:, 1].tolist())  # entries of other rows, no mixtures


def test_shares_and_what_goes_together_are_kept():
    torch.manual_seed(0)
    a, b = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 4000, replacement=True).float().reshape(2, -1)
    age = torch.randn(2000)
    y = torch.stack([a, (a + 1) % 3, b, age, age + 0.3 * torch.randn(2000)], -1)
    given = filled(hide(y), [True, True, True, False, False])
    # 600 entries are known: five standard deviations of a share are 0.1.
    assert ((given[:, 0] == 0).float().mean() - 0.5).abs() < 0.1
    assert ((given[:, 0] + 1) % 3 == given[:, 1]).float().mean() > 0.95
    assert ((given[:, 2] == given[:, 0]).float().mean() - (a == b).float().mean()).abs() < 0.1
    assert torch.corrcoef(given[:, 3:].T)[0, 1] > 0.6
    assert torch.corrcoef(given.T)[0, 3].abs() < 0.2


def test_nothing_is_drawn_where_nothing_is_missing():
    y = torch.randn(5, 2)
    before = torch.get_rng_state()
    assert torch.equal(filled(y, [False, False]), y)
    assert torch.equal(torch.get_rng_state(), before)
