"""Divergences of two laws by a kernel: the maximum mean discrepancy, and Stein's, which knows one law by its score."""

from typing import Literal, NamedTuple, get_args

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from pyro_priors.checks import check_choice
from pyro_priors.ops import full_precision

Kernel = Literal["rbf", "imq"]


def squared_mmd(a: Tensor, b: Tensor, kernel: Kernel = "rbf", width: float | None = None) -> Tensor:
    """The squared maximum mean discrepancy of two sets of draws, `(n, d)` and `(m, d)`, without bias: a scalar.

    Args:
        a, b: draws of the two laws.
        kernel, width: as for `InfoELBO`.

    Raises:
        ValueError: shapes that do not fit, fewer than two rows, an unknown kernel, a width that is not positive.
    """
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            "a, b: expected shapes (n, d) and (m, d), two draws of each law or more, got "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    check_kernel(kernel, width)
    width = a.shape[-1] if width is None else width

    def mean(x: Tensor, y: Tensor, same: bool) -> Tensor:
        similar = _radial((x.unsqueeze(1) - y).square().sum(-1), kernel, width).value
        return (similar.sum() - len(x)) / (len(x) * (len(x) - 1)) if same else similar.mean()

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


def squared_stein(z: Tensor, law: TorchDistribution, kernel: Kernel = "rbf", width: float | None = None) -> Tensor:
    """The squared kernelised Stein discrepancy of draws from a law, without bias: a scalar.

    E[s(z) . s(z') k + s(z) . grad_z' k + s(z') . grad_z k + trace grad_z grad_z' k] over pairs of draws, with the
    score s = grad log p of the law and k = k(z, z'): 0 where the draws are of that law, more otherwise. No draws of the
    law are needed, nor its normaliser.

    Note:
        Second derivatives of log p carry its gradients. A score does not see the weights of modes far apart.

    Cost: O(n^2 d) and one log-density.

    Shapes:
        ``(n, d) -> ()``, n at least 2

    References:
        Liu, Lee, Jordan, "A kernelized Stein discrepancy for goodness-of-fit tests", 2016, theorem 3.6 and eq. 14,
        arXiv:1602.03253. It is the squared length of the gradient in Liu, Wang, "Stein variational gradient descent",
        2016, arXiv:1608.04471.

    Args:
        z: draws.
        law: with event `(d,)` and batch `()` or `(n,)`, whose log-density is smooth.
        kernel, width: as for `InfoELBO`.

    Raises:
        ValueError: another shape, fewer than two rows, an unknown kernel, a width that is not positive.

    Example:
        >>> import pyro.distributions as dist
        >>> _ = torch.manual_seed(0)
        >>> law = dist.Normal(torch.zeros(2), 1.0).to_event(1)
        >>> bool(squared_stein(law.sample((500,)), law) < 0.05 < squared_stein(law.sample((500,)) + 1, law))
        True
    """
    if z.dim() != 2 or len(z) < 2:
        raise ValueError(f"z: expected shape (n, d), two draws or more, got {tuple(z.shape)}")
    check_kernel(kernel, width)
    n, d = z.shape
    with torch.autocast(z.device.type, enabled=False):
        z, score = full_precision(z), score_of(law, z)
        between, pull = z.unsqueeze(1) - z, score.unsqueeze(1) - score
        squares = between.square().sum(-1)
        k = _radial(squares, kernel, d if width is None else width)
        crossed = (pull * between).sum(-1) + d  # of both first derivatives, and of the second one
        pairs = score @ score.T * k.value - 2 * k.first * crossed - 4 * squares * k.second
        return (pairs.sum() - pairs.diagonal().sum()) / (n * (n - 1))


def score_of(law: TorchDistribution, z: Tensor) -> Tensor:
    """grad log p(z) of each row `(n, d)`, with its own gradients where there are any."""
    grad = torch.is_grad_enabled()
    with torch.enable_grad():
        at = full_precision(z) if grad and z.requires_grad else full_precision(z.detach()).requires_grad_()
        (score,) = torch.autograd.grad(law.log_prob(at).sum(), at, create_graph=grad)
    return score


class _Radial(NamedTuple):
    """A kernel of squared distances, and its derivatives by them."""

    value: Tensor
    first: Tensor
    second: Tensor


def _radial(squares: Tensor, kernel: Kernel, width: float) -> _Radial:
    if kernel == "rbf":
        value = (-squares / (2 * width)).exp()
        return _Radial(value, -value / (2 * width), value / (2 * width) ** 2)
    value = width / (width + squares)
    return _Radial(value, -value.square() / width, 2 * value**3 / width**2)


def check_kernel(kernel: Kernel, width: float | None) -> None:
    """`ValueError` for an unknown kernel, or a width that is not positive."""
    check_choice("kernel", kernel, get_args(Kernel))
    if width is not None and not width > 0:
        raise ValueError(f"width: expected a positive number or None, got {width}")
