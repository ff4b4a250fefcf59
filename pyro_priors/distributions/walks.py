"""What the densities of one step have in common: computed once, and known by the tensors that were given."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_priors.ops import transformed

Known = tuple[tuple[Hashable, Tensor, Hashable], ...]  # what values were given for, and these


class Walks:
    """What laws made of each other compute for what they know: each by itself, or where `shared` once for all.

    A shared result is known by what it is and by the tensors that it was made of, as they stood then, with gradients or
    without. Copies and pickles share nothing.
    """

    def __init__(self, shared: bool) -> None:
        self.shared, self._results = shared, {}

    def once(self, what: str, several: Sequence[Known], make: Callable[[Sequence[int]], Sequence[Any]]) -> Sequence:
        """A result for each of several; `make` is given the places of those that are not there, and makes these."""
        unstamped = any(value.is_inference() for known in several for _, value, _ in known)
        if not self.shared or unstamped or transformed():  # whose tensors are none that stand for themselves
            return make(range(len(several)))
        keys = [(what, torch.is_grad_enabled(), frozenset(map(_identity, known))) for known in several]
        new = [place for place, key in enumerate(keys) if key not in self._results]
        for place, result in zip(new, make(new) if new else (), strict=True):
            self._results[keys[place]] = several[place], result  # with the tensors, lest others come to stand for them
        return [self._results[key][1] for key in keys]

    def __reduce__(self) -> tuple[type, tuple[bool]]:
        return Walks, (False,)


def known_as(what: Hashable, value: Tensor) -> tuple[Hashable, Tensor, Hashable]:
    """A value as it stands now: what is written to it later makes no difference to what was made of it."""
    version = 0 if value.is_inference() else value._version
    return what, value, (id(value), version, value.requires_grad, torch.is_grad_enabled())


def _identity(known: tuple[Hashable, Tensor, Hashable]) -> Hashable:
    return known[0], known[2]
