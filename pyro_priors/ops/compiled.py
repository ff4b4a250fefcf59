"""Plain contractions compiled whole by `torch.compile`, once for every chain."""

import types
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors.ops.layout import Layout


@lru_cache(maxsize=64)
def compiled(plain: Callable[..., Tensor], make: Callable, layout: Layout, *rest) -> Callable[..., Tensor]:
    """``plain(log_weights, make(tensors, layout), *rest)`` as one graph: a function of weights and a list of tensors.

    Numbers of rows and types are PyTorch's to tell apart, of which it takes only so many for one code: so each chain
    has a code of its own.
    """
    number = compiled.cache_info().misses

    def contract(log_weights: Tensor, tensors: list[Tensor]) -> Tensor:
        return plain(log_weights, make(tensors, layout), *rest)

    code = contract.__code__.replace(co_name=f"contract_{number}")
    own = types.FunctionType(code, contract.__globals__, code.co_name, None, contract.__closure__)
    validated = Distribution._validate_args
    try:
        return torch.compile(own, fullgraph=True)
    finally:  # the first compilation of a process turns off the checks of all distributions, also of those of others
        Distribution.set_default_validate_args(validated)
