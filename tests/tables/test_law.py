"""The law of a table against sums and integrals over its cells."""

import numpy as np
import pytest
import torch

from pyro_priors.data.schema import Field
from pyro_priors.tables.laws.law import TableLaw
from pyro_priors.tables.leaves.leaf_fitting import fit_leaf

NAN = torch.nan


def leaves_of(codes):
    """Leaves of a number, of a number with many zeros, and of three categories."""
    fields = [
        Field("x", "continuous"),
        Field("y", "continuous"),
        Field("colour", "categorical", categories=("a", "b", "c")),
    ]
    return [fit_leaf(field, column) for field, column in zip(fields, codes.unbind(1), strict=True)]


@pytest.fixture
def codes():
    generator = torch.Generator().manual_seed(0)
    x, u = (torch.randn(300, dtype=torch.float64, generator=generator) for _ in range(2))
    y = torch.where(u > 0, x.exp() + u, 0.0)
    colour = torch.randint(3, (300,), generator=generator).double()
    return torch.stack([x, y, colour], 1)


@pytest.fixture
def law(codes):
    torch.manual_seed(0)
    return TableLaw(leaves_of(codes), rank=4)


def test_columns_are_where_they_are_said_to_be(law):
    assert law.columns == ((0,), (2, 1), (3,))
    assert law.vectors == ((0, 1),)
    assert law.width == 4
    assert list(law.prior.attributes) == ["v0", "c1", "c2"]


def test_codes_come_back_with_their_gaps(law, codes):
    codes = codes.where(torch.rand(codes.shape, generator=torch.Generator().manual_seed(1)) > 0.3, NAN)
    rows = law.rows(codes)
    assert torch.equal(rows.isnan()[:, [0, 2, 3]], codes.isnan())
    assert torch.allclose(law.codes(rows), codes, atol=1e-8, equal_nan=True)
    assert torch.equal(law.rows(codes.numpy()).nan_to_num(9.0), rows.nan_to_num(9.0))


def test_the_law_is_a_law_of_codes(law):
    """The sum over states and the integral over scores is one."""
    grid = torch.linspace(-9, 9, 181, dtype=torch.float64)
    step = float(grid[1] - grid[0])
    pairs = torch.cartesian_prod(grid, grid)
    total = 0.0
    for colour in range(3):
        atom = torch.stack([grid, grid * NAN, grid * 0, grid * 0 + colour], 1)
        number = torch.stack([pairs[:, 0], pairs[:, 1], pairs[:, 0] * 0 + 1, pairs[:, 0] * 0 + colour], 1)
        with torch.no_grad():
            total += float(law.law().log_prob(atom).exp().sum()) * step
            total += float(law.law().log_prob(number).exp().sum()) * step**2
    assert total == pytest.approx(1, abs=1e-4)


def test_what_is_written_is_the_same_law(law, codes):
    again = TableLaw.from_json(law.to_json())
    again.load_state_dict(law.state_dict())
    rows = law.rows(codes)
    assert torch.equal(again.law().log_prob(again.rows(codes)), law.law().log_prob(rows))
    assert again.columns == law.columns
    assert again.extra_repr() == law.extra_repr()


def test_numbers_may_stand_in_several_vectors(codes):
    law = TableLaw(leaves_of(codes), groups=[[1], [0]], rank=4)
    assert law.vectors == ((0,), (1,))
    assert law.columns == ((1,), (2, 0), (3,))
    assert torch.allclose(law.codes(law.rows(codes)), codes, atol=1e-8)


@pytest.mark.parametrize("groups", [[[0]], [[0, 1], [1]], [[0, 1, 2]], [[0, 1], []]])
def test_groups_are_a_partition_of_the_numbers(codes, groups):
    with pytest.raises(ValueError, match="groups: expected each of the numbers"):
        TableLaw(leaves_of(codes), groups=groups, rank=4)


def test_what_is_no_table_is_refused(law):
    with pytest.raises(ValueError, match="codes: expected shape \\(n, 3\\), got \\(2, 2\\)"):
        law.rows(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="leaves: expected one column at least"):
        TableLaw([])
