"""The couplings of a flow: half of the latents say how the others are moved."""

import math
from typing import Any

import torch
from pyro.distributions import transforms
from pyro.distributions.torch_transform import TransformModule
from pyro.nn import DenseNN
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from pyro_priors.ops import rational_spline

SPLINE_BINS, SPLINE_BOUND = 8, 5.0
BIN_NUMBERS = SPLINE_BINS, SPLINE_BINS, SPLINE_BINS - 1, SPLINE_BINS  # widths, heights, slopes between bins, splits


class _ScaleAndShift(nn.Module):
    """The two networks of an affine coupling, which start near 0: shift and log scale, the latter within [-1, 1]."""

    def __init__(self, inputs: int, outputs: int, hidden: list[int]) -> None:
        super().__init__()
        self.shift, self.scale = (_network(inputs, hidden, [outputs]) for _ in range(2))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return dense(self.shift, z), dense(self.scale, z).tanh()


def _network(inputs: int, hidden: list[int], outputs: list[int]) -> DenseNN:
    """Dense layers whose outputs start near 0 (not at 0, where the layers below would have no gradient)."""
    network = DenseNN(inputs, hidden, outputs, nn.LeakyReLU())
    last = _last(network)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    return network


@torch.no_grad()
def make_identity(coupling: nn.Module) -> None:
    """Make a coupling the identity (a spline nearly), in place; hidden layers learn once its last ones have moved."""
    for network in coupling.modules():
        if isinstance(network, DenseNN):
            last = _last(network)
            last.weight.zero_()
            last.bias.zero_()
            if isinstance(coupling, SplineCoupling):
                _set_slopes(last)


def _set_slopes(last: nn.Linear) -> None:
    """Slopes between bins are softplus of numbers of this bias: 1, so that splines start near the identity."""
    count = len(last.bias) // sum(BIN_NUMBERS)
    before = count * sum(BIN_NUMBERS[:2])
    last.bias[before : before + count * BIN_NUMBERS[2]] = math.log(math.e - 1)


def _last(network: DenseNN) -> nn.Linear:
    last = network.layers[-1]
    assert isinstance(last, nn.Linear)
    return last


class SplineCoupling(transforms.SplineCoupling):
    """Pyro's, whose parameters it has, with an inverse that is as exact as its forward way."""

    widens = True  # computed in the type of what it is given: float64 where draws are wanted

    def _call(self, x: Tensor) -> Tensor:
        return self._bent(x, inverse=False)

    def _inverse(self, y: Tensor) -> Tensor:
        return self._bent(y, inverse=True)

    def _bent(self, x: Tensor, inverse: bool) -> Tensor:
        same, other = x[..., : self.split_dim], x[..., self.split_dim :]
        numbers = dense(self.upper_spline.nn, same).split([other.shape[-1] * n for n in BIN_NUMBERS], -1)
        widths, heights, slopes, splits = (x.unflatten(-1, (other.shape[-1], -1)) for x in numbers)
        shape = widths.softmax(-1), heights.softmax(-1), softplus(slopes), splits.sigmoid()
        moved, log_slope = rational_spline(other, *shape, SPLINE_BOUND, inverse=inverse)
        self._cache_log_detJ = -log_slope if inverse else log_slope
        return torch.cat([same, moved], -1)


def dense(network: DenseNN, x: Tensor) -> Tensor:
    """All outputs of a network side by side, in the wider of the types of x and of its weights."""
    layers: list[Any] = list(network.layers)
    *hidden, last = layers
    x = x.to(torch.promote_types(x.dtype, last.weight.dtype))
    for layer in hidden:
        x = network.f(linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype)))
    return linear(x, last.weight.to(x.dtype), last.bias.to(x.dtype))


def affine_coupling(size: int, hidden: list[int]) -> TransformModule:
    split = size // 2
    return transforms.AffineCoupling(split, _ScaleAndShift(split, size - split, hidden))


def spline_coupling(size: int, hidden: list[int]) -> TransformModule:
    split = size // 2
    outputs = [(size - split) * count for count in BIN_NUMBERS]
    network = _network(split, hidden, outputs)
    with torch.no_grad():
        _set_slopes(_last(network))
    coupling = SplineCoupling(size, split, network, count_bins=SPLINE_BINS, bound=SPLINE_BOUND, identity=True)
    del coupling.lower_spline  # not used with identity: its parameters would never learn
    return coupling
