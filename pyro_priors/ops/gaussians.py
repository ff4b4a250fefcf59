"""Log-densities of every row under every Gaussian of a set, and what gaps in the rows make of the Gaussians."""

import math

import torch
from torch import Tensor

from pyro_priors.ops.layout import transformed
from pyro_priors.ops.scaling import wide

FEW = 4  # numbers of a vector whose squares are summed faster by a product of matrices than in one sweep


def log_normal_pairs(value: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    r"""Log-densities of K Gaussians with diagonal covariance at every row: ``(*, d), (K, d), (K, d) -> (*, K)``.

    In float32 the square is multiplied out, which makes one matrix product of what would be a tensor ``(*, K, d)``. The
    product is taken in float64: the terms that cancel there are (value / scale)^2 and their error is 1e-16 of that,
    less than rounding the value to float32 does, 1e-7 value / scale, as long as loc / scale < 1e8. float64 has no such
    refuge (nor has Apple's GPU): there the differences are squared.
    """
    constant = -scale.double().log().sum(-1) if value.device.type != "mps" else -scale.log().sum(-1)
    constant = constant - 0.5 * math.log(2 * math.pi) * loc.shape[-1]
    if value.dtype == torch.float64 or value.device.type == "mps":
        return constant - 0.5 * ((value.unsqueeze(-2) - loc) / scale).square().sum(-1)
    wide, loc, precision = value.double(), loc.double(), scale.double().reciprocal().square()
    weighted = precision * loc
    constant = constant - 0.5 * (weighted * loc).sum(-1)
    pairs = torch.cat([-0.5 * wide.square(), wide], -1) @ torch.cat([precision, weighted], -1).T
    return pairs + constant


def log_normal_gaps(value: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """As `log_normal_pairs`; what is NaN is left out: ``(*, d), (K, d), (K, d) -> (*, K)``, float64 where there is one.

    The product has one more block than that without gaps: whether a number is there.
    """
    missing = value.isnan()
    centre = loc.detach().mean(0)
    value = wide(torch.where(missing, 0.0, value - centre))
    loc, precision, log_scale = wide(loc - centre), wide(scale).square().reciprocal(), wide(scale).log()
    weighted = precision * loc
    constant = -0.5 * weighted * loc - log_scale - 0.5 * math.log(2 * math.pi)
    if missing.device.type == "mps":
        each = constant - 0.5 * ((value.unsqueeze(-2) - loc) / scale).square() + 0.5 * weighted * loc
        return torch.where(missing.unsqueeze(-2), 0.0, each).sum(-1)
    rows = torch.cat([-0.5 * value.square(), value, (~missing).to(value)], -1)
    return rows @ torch.cat([precision, weighted, constant], -1).mT


def log_normal_factors(value: Tensor, loc: Tensor, factor: Tensor) -> Tensor:
    """Log-densities of K Gaussians with inverse covariances L^T L at every row, one product of matrices.

    Values are taken relative to the mean of all means: what is far from zero loses nothing. The adjoint is written by
    hand, in the room of what it no longer needs: two products of matrices.

    Shapes:
        ``value (b, d)``, ``loc (K, d)``, ``factor (K, d, d)`` -> ``(b, K)``; all may have one dimension more in front,
        of several sets
    """
    dtype = torch.promote_types(value.dtype, factor.dtype)
    loc, factor = loc.to(dtype), factor.to(dtype)
    centre = loc.detach().mean(-2, keepdim=True)
    moved, loc = value.to(dtype) - centre, loc - centre
    constant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) - 0.5 * math.log(2 * math.pi) * loc.shape[-1]
    shift = (factor @ loc.unsqueeze(-1)).squeeze(-1)  # (K, d)
    return constant.unsqueeze(-2) + half_squares(moved, factor, shift)


def half_squares(value: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """-|L x - shift|^2 / 2: ``(b, d), (K, r, d), (K, r) -> (b, K)``, or several of each in front"""
    if transformed():
        return _half_squares(value, factor, shift)
    return _HalfSquares.apply(value, factor, shift)  # pyright: ignore[reportReturnType]


def _half_squares(value: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    return -0.5 * _whitened(value, factor, shift).unflatten(-1, shift.shape[-2:]).square().sum(-1)


def _whitened(value: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """L x - shift: ``(b, K r)``"""
    add = torch.addmm if value.dim() == 2 else torch.baddbmm
    return add(shift.flatten(-2).unsqueeze(-2), value, factor.flatten(-3, -2).mT, beta=-1)


class _HalfSquares(torch.autograd.Function):
    """`_half_squares`, whose backward keeps one tensor ``(b, K d)`` and works in it."""

    @staticmethod
    def forward(ctx, value, factor, shift):
        whitened = _whitened(value, factor, shift)
        ctx.save_for_backward(value, factor, shift)
        needed = any(ctx.needs_input_grad)
        ctx.whitened = whitened if needed else None
        apart = whitened.unflatten(-1, shift.shape[-2:])
        if needed and shift.shape[-1] > FEW:
            return torch.linalg.vector_norm(apart, dim=-1).square_().mul_(-0.5)
        return (apart.square() if needed else apart.square_()) @ apart.new_full(shift.shape[-1:], -0.5)

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's takes any number)
        value, factor, shift = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            inputs = [x.view_as(x) for x in (value, factor, shift)]
            wanted = [x for x, needs in zip(inputs, ctx.needs_input_grad, strict=True) if needs]
            given = iter(torch.autograd.grad(_half_squares(*inputs), wanted, grad, create_graph=True))
            return tuple(next(given) if needs else None for needs in ctx.needs_input_grad)
        whitened, ctx.whitened = ctx.whitened, None  # once; the graph may have been retained
        if whitened is None:
            whitened = _whitened(value, factor, shift)
        to_value, to_factor, to_shift = ctx.needs_input_grad
        with torch.autocast(grad.device.type, enabled=False):
            pulled = whitened.unflatten(-1, shift.shape[-2:]).mul_(-grad.unsqueeze(-1)).flatten(-2)
            return (
                pulled @ factor.flatten(-3, -2) if to_value else None,
                (pulled.mT @ value).view_as(factor) if to_factor else None,
                -pulled.sum(-2).view_as(shift) if to_shift else None,
            )


def gap_patterns(missing: Tensor) -> tuple[Tensor, Tensor]:
    """The patterns of gaps that occur, and which one each row has: ``(b, d) -> (P, d), (b,)``"""
    if missing.shape[-1] > 52 or missing.device.type == "mps":
        return torch.unique(missing, dim=0, return_inverse=True)
    digits = 2.0 ** torch.arange(missing.shape[-1], dtype=torch.float64, device=missing.device)
    numbers, which = torch.unique(missing.double() @ digits, return_inverse=True)
    return (numbers.unsqueeze(-1) / digits).floor().remainder(2).bool(), which


def observed_factors(covariance: Tensor, observed: Tensor) -> Tensor:
    """Factors L, lower triangular, of the inverse covariance L^T L of what is observed, the identity elsewhere.

    Shapes:
        ``(K, d, d)``, ``(P, d) -> (P, K, d, d)``
    """
    both = (observed.unsqueeze(-1) & observed.unsqueeze(-2)).unsqueeze(1)
    return inverse_factors(torch.where(both, covariance, eye_like(covariance)))


def inverse_factors(covariance: Tensor) -> Tensor:
    """Factors L, lower triangular, of the inverse covariance L^T L: ``(*, d, d) -> (*, d, d)``

    Through Cholesky's factor A of the covariance, A^-1 = L, so that row i gives number i from those before it.
    """
    if transformed():
        return _inverse_factors(covariance)
    return _InverseFactors.apply(covariance)  # pyright: ignore[reportReturnType]


def _inverse_factors(covariance: Tensor) -> Tensor:
    return inverse_lower(torch.linalg.cholesky(covariance))


def inverse_lower(factor: Tensor) -> Tensor:
    """Inverses of lower triangular matrices: ``(*, d, d) -> (*, d, d)``"""
    return torch.linalg.solve_triangular(factor, eye_like(factor).expand_as(factor), upper=False)


def eye_like(x: Tensor) -> Tensor:
    """The identity over the last dimension, whatever the default device is."""
    return torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)


class _InverseFactors(torch.autograd.Function):
    """`inverse_factors`, whose backward solves nothing.

    dL = - F(L dC L^T) L with F(X) the lower triangle of X with half its diagonal.
    """

    @staticmethod
    def forward(ctx, covariance):
        factor = _inverse_factors(covariance)
        ctx.save_for_backward(factor)
        return factor

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's takes any number)
        (factor,) = ctx.saved_tensors
        with torch.autocast(grad.device.type, enabled=False):
            inner = (grad @ factor.mT).tril()
            inner = inner - 0.5 * torch.diag_embed(inner.diagonal(dim1=-2, dim2=-1))
            result = -(factor.mT @ inner @ factor)
        return 0.5 * (result + result.mT)
