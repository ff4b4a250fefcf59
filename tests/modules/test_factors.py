"""Precision factors as conditional scales and packed regressions."""

import pytest
import torch
from torch.autograd import gradcheck

from pyro_priors.modules.factors import SCALE_FLOOR, factor_of, packed_size, parameters_of


def parameters(size: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(size)
    return torch.randn(3, size, dtype=dtype), torch.randn(3, packed_size(size), dtype=dtype)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_precision_is_that_of_the_regressions(size):
    log_scale, coupling = parameters(size)
    scale = SCALE_FLOOR + log_scale.exp()
    eye = torch.eye(size).double()
    for k in range(3):  # x - loc = B (x - loc) + scale eps
        regressions, entries = torch.zeros(size, size).double(), iter(coupling[k])
        for i in range(size):
            for j in range(i):
                regressions[i, j] = next(entries)
        mixing = torch.linalg.inv(eye - regressions) * scale[k]
        factor = factor_of(log_scale, coupling)[k]
        torch.testing.assert_close(factor @ mixing @ mixing.T @ factor.T, eye, rtol=0, atol=1e-9)
        assert (factor.triu(1) == 0).all()
        assert (factor.diagonal() > 0).all()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_there_and_back(size):
    for there, back in zip(parameters(size), parameters_of(factor_of(*parameters(size))), strict=True):
        torch.testing.assert_close(there, back)


def test_gradients():
    assert gradcheck(factor_of, [x.requires_grad_() for x in parameters(4)])
    coupled = torch.func.vmap(factor_of)(*parameters(4))
    torch.testing.assert_close(coupled, factor_of(*parameters(4)), rtol=0, atol=0)


def test_scales_have_a_floor():
    factor = factor_of(torch.tensor([[-500.0, -500.0]]), torch.tensor([[3.0]]))
    torch.testing.assert_close(factor.diagonal(dim1=-2, dim2=-1), torch.full((1, 2), 1 / SCALE_FLOOR))
    again = factor_of(*parameters_of(torch.tensor([[[1e9, 0.0], [1e9, 1e9]]])))  # finer than the floor
    assert again.isfinite().all()
    torch.testing.assert_close(again[0, 0, 0], torch.tensor(1 / SCALE_FLOOR), rtol=0.011, atol=0)


def test_sixteen_bits_and_other_sizes():
    log_scale, coupling = parameters(3, torch.float16)
    torch.testing.assert_close(factor_of(log_scale, coupling), factor_of(log_scale.float(), coupling.float()))
    with pytest.raises(ValueError, match=r"coupling: expected shape \(3, 3\), got \(3, 2\)"):
        factor_of(log_scale, coupling[:, :2])
