"""What all generative programs over images share: a name in Pyro's parameter store, sizes of batches, attributes."""

import itertools
import weakref
from collections.abc import Mapping
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_priors.checks import check_broadcast
from pyro_priors.distributions.evidence import as_tensor
from pyro_priors.distributions.kinds import Kind, Vector, width_of
from pyro_priors.ops import full_precision
from pyro_priors.recorded import Recorded

_instances = itertools.count()
_living: weakref.WeakValueDictionary = weakref.WeakValueDictionary()  # name -> model


class Program(Recorded):
    """Base of the models: a module with a `prior` whose `model` and `guide` call `pyro.module(self.name, self)`.

    Note:
        Pyro keeps parameters by name: a second model under a name already taken is silently not trained. Each
        instance (and each copy of one) therefore has a name of its own, and takes its parameters out of Pyro's store
        when it is gone.

    Args:
        prior: a module; `prior()` is the law of the latents, or `prior(encode)` where it says `takes_encoder`.
        image_shape: (channels, height, width) of the images, None where it is not known.
        name: prefix of the parameters in Pyro's store; chosen freshly by default.

    Raises:
        ValueError: the name is in use.
    """

    prior: Any  # what a prior answers besides its law is its own affair

    def __init__(self, prior: nn.Module, image_shape: tuple[int, int, int] | None, name: str | None) -> None:
        super().__init__()
        self.prior, self.image_shape = prior, image_shape
        self._live_as(self._fresh_name() if name is None else _check_name(name))

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._live_as(self._fresh_name())  # a copy under its original's name would not be trained

    def _live_as(self, name: str) -> None:
        self.name, _living[name] = name, self
        weakref.finalize(self, _leave_store, name).atexit = False

    def prior_law(self) -> dist.TorchDistribution:
        """The law of the latents, built afresh: event `(latent_dim,)`."""
        return self.prior(self.encode) if getattr(self.prior, "takes_encoder", False) else self.prior()

    def extra_repr(self) -> str:
        return f"name={self.name!r}, image_shape={self.image_shape}"

    @classmethod
    def _fresh_name(cls) -> str:
        return next(name for number in _instances if not _in_use(name := f"{cls.__name__.lower()}_{number}"))

    def _batch_size(self, x: Tensor | None, n: int | None) -> int:
        if x is not None:
            self._check_images(x)
            if n is not None and n != len(x):
                raise ValueError(f"n: expected the number of images, {len(x)}, or None, got {n!r}")
            return len(x)
        if not isinstance(n, int) or n < 1:
            raise ValueError(f"n: expected a positive number of images where x is not given, got {n!r}")
        return n

    def _check_images(self, x: Tensor) -> None:
        if self.image_shape is not None and (x.dim() != 4 or tuple(x.shape[1:]) != tuple(self.image_shape)):
            raise ValueError(f"x: expected shape (batch, {str(self.image_shape)[1:]}, got {tuple(x.shape)}")
        if len(x) == 0:
            raise ValueError("x: expected at least one image, got an empty batch")
        if not x.is_floating_point():
            raise ValueError(f"x: expected floats, got {x.dtype} (pass x.float(), of bytes x.float() / 255)")


class WithAttributes(Program):
    """Programs `model(x, y, n)` and `guide(x, y, n)` with attributes y, NaN = missing."""

    @property
    def attributes(self) -> Mapping[str, Kind]:
        """The columns of y, in their order."""
        return self.prior.attributes

    def _rows(self, x: Tensor | None, y: Tensor | None, n: int | None) -> int:
        """The size of the plate; errors where the three disagree."""
        if y is None:
            return self._batch_size(x, n)
        count = width_of(self.attributes.values())
        if not isinstance(y, Tensor) or len(y) == 0:
            raise ValueError(f"y: expected a tensor of shape (batch, {count}) with at least one row, got {y!r}")
        rows = self._batch_size(x, n) if x is not None or n is not None else len(y)
        if y.shape != (rows, count):
            raise ValueError(f"y: expected shape ({rows}, {count}), got {tuple(y.shape)}")
        return rows

    def _given(self, n: int, given: Mapping[str, Tensor | float]) -> Tensor:
        """Attributes by name, or the block "y" -> `(n, n_attributes)` with NaN where nothing is given."""
        parameter = full_precision(next(self.parameters()))  # 16 bits do not hold all states
        y = parameter.new_full((self._batch_size(None, n), width_of(self.attributes.values())), torch.nan)
        blocks = dict(zip(self.attributes, y.split([width_of([k]) for k in self.attributes.values()], 1), strict=True))
        self._check_given(given)
        for name, value in given.items():
            block, value = y if name == "y" else blocks[name], as_tensor(value).to(y)
            if name != "y" and not isinstance(self.attributes[name], Vector):
                block = block[:, 0]
            if check_broadcast(name, value.shape, block.shape) != block.shape:
                raise ValueError(f"{name}: expected a shape like {tuple(block.shape)}, got {tuple(value.shape)}")
            block.copy_(value)
        return y

    def _check_given(self, given: Mapping[str, Tensor | float]) -> None:
        for name in given:
            if name not in (*self.attributes, "y"):
                raise ValueError(f"given: expected some of {', '.join(self.attributes)}, got {name!r}")
        if "y" in given and len(given) > 1:
            raise ValueError(f"given: expected each attribute once, got {', '.join(given)}")


def _check_name(name: str) -> str:
    if _in_use(name):
        raise ValueError(
            f"name: expected one that neither another model nor Pyro's parameter store has, got {name!r}, under which "
            "this model would silently not be trained; choose another or call pyro.clear_param_store()"
        )
    return name


def _in_use(name: str) -> bool:
    return name in _living or bool(_stored(name))


def _stored(name: str) -> list[str]:
    """What Pyro's store has of a model."""
    return [key for key in list(pyro.get_param_store().keys()) if key.startswith(f"{name}$$$")]


def _leave_store(name: str) -> None:
    """Take the parameters of a model that is gone out of the present store, unless another has its name now."""
    if name in _living:
        return
    store = pyro.get_param_store()
    gone = {key: value for key, value in store.named_parameters() if key.startswith(f"{name}$$$")}
    for key in gone:
        del store[key]
    values = {id(value) for value in gone.values()}
    for key, value in list(store.named_parameters()):
        if id(value) in values:  # of a part that another model has too: the store must know it by the name that is left
            store[key] = value


def check_agreement(attribute: str, **modules: nn.Module) -> None:
    """Modules, by what they are to the model, that have `attribute` have the same: `ValueError` otherwise."""
    sizes = {name: getattr(module, attribute) for name, module in modules.items() if hasattr(module, attribute)}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"{attribute}: expected the same in {', '.join(sizes)}, got {sizes}")
