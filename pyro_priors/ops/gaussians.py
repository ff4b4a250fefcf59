"""Log-densities of every row under every Gaussian of a set."""

import math

import torch
from torch import Tensor


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
