"""Images that are handed to a program are in the range that it takes: a look at the extremes of every batch."""

import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor

UNSIGNED = 1000  # images without a negative value, after which those of a signed program are taken for unsigned ones
ROUNDING = 1e-5  # by which a value that was computed may be outside


class Extremes(NamedTuple):
    """The least and the largest value of a batch."""

    low: float
    high: float


# The last batch of each range, which version of it, and its extremes: a step hands the same one to guide, model and
# encoder.
_last: dict[tuple[float, float], tuple[weakref.ref, int, Extremes]] = {}


def check_pixels(x: Tensor, low: float, high: float, why: str) -> Extremes | None:
    """The extremes of a batch; None where it cannot be looked at (in a trace or a transform).

    NaN passes: where the loss is not finite the batch is named.

    Raises:
        ValueError: a value outside [low, high]; `why` says what takes no others.

    Example:
        >>> check_pixels(torch.tensor([0.0, 255.0]), 0, 1, "the law of a pixel")
        Traceback (most recent call last):
        ValueError: x: expected values in [0, 1], as the law of a pixel takes them, got 0 to 255
    """
    if x.dtype is torch.bool or not _has_values(x):
        return None
    version = -1 if x.is_inference() else x._version
    known = _last.get((low, high))
    if known is not None and known[0]() is x and version == known[1] >= 0:
        return known[2]
    seen = Extremes(*torch.stack(torch.aminmax(x.detach())).tolist())
    if seen.low < low - ROUNDING or seen.high > high + ROUNDING:
        raise ValueError(
            f"x: expected values in [{low:g}, {high:g}], as {why} takes them, got {seen.low:g} to {seen.high:g}"
        )
    _last[low, high] = weakref.ref(x), version, seen
    return seen


def _has_values(x: Tensor) -> bool:
    """Whether numbers can be read: within a trace, a compilation or `vmap` they cannot."""
    wrapped: Any = torch._C
    return not (
        torch._C._get_tracing_state() or torch.compiler.is_compiling() or wrapped._functorch.is_batchedtensor(x)
    )


class SignedImages:
    """Of a program that takes images in [-1, 1]: whether those that it has been given are such, and not in [0, 1].

    One negative value shows it, once and for all. Single batches may have none; 1,000 images without one, since the
    first and counted whenever they are handed in, are taken for images in [0, 1].
    """

    def __init__(self) -> None:
        self.without: int | None = 0  # images so far without a negative value; None: there was one

    def check(self, x: Tensor) -> None:
        """`ValueError` where x has other values, or nothing has been negative for too long."""
        seen = check_pixels(x, -1, 1, "a program with signed=True, whose generator ends in a tanh,")
        if seen is None or self.without is None:
            return
        self.without = None if seen.low < 0 else self.without + len(x)
        if self.without is not None and self.without >= UNSIGNED:
            raise ValueError(
                f"x: expected values in [-1, 1], got none below 0 in the first {self.without} images, as in images in "
                "[0, 1] (pass 2 * x - 1, or make the program with signed=False)"
            )
