"""What variational autoencoders over images and attributes share."""

from collections.abc import Mapping

import torch
from torch import Tensor

from models.program import Program
from models.vae import VAE
from pyro_priors.checks import check_broadcast
from pyro_priors.distributions import TensorRing
from pyro_priors.distributions.variables import Kind


class WithAttributes(Program):
    """Programs `model(x, y, n)` and `guide(x, y, n)` with attributes y, NaN = missing."""

    attributes: Mapping[str, Kind]  # the columns of y, in their order

    def _rows(self, x: Tensor | None, y: Tensor | None, n: int | None) -> int:
        """The size of the plate; errors where the three disagree."""
        if y is None:
            return self._batch_size(x, n)
        count = len(self.attributes)
        if not isinstance(y, Tensor) or len(y) == 0:
            raise ValueError(f"y: expected a tensor of shape (batch, {count}) with at least one row, got {y!r}")
        rows = self._batch_size(x, n) if x is not None or n is not None else len(y)
        if y.shape != (rows, count):
            raise ValueError(f"y: expected shape ({rows}, {count}), got {tuple(y.shape)}")
        return rows

    def _given(self, n: int, given: Mapping[str, Tensor | float]) -> Tensor:
        """Attributes by name, or the block "y" -> `(n, n_attributes)` with NaN where nothing is given."""
        parameter = next(self.parameters())
        y = parameter.new_full((self._batch_size(None, n), len(self.attributes)), torch.nan)
        names = list(self.attributes)
        for name, value in given.items():
            if name not in (*names, "y"):
                raise ValueError(f"given: expected some of {', '.join(names)}, got {name!r}")
            if "y" in given and len(given) > 1:
                raise ValueError(f"given: expected each attribute once, got {', '.join(given)}")
            block, value = y if name == "y" else y[:, names.index(name)], torch.as_tensor(value).to(y)
            if check_broadcast(name, value.shape, block.shape) != block.shape:
                raise ValueError(f"{name}: expected a shape like {tuple(block.shape)}, got {tuple(value.shape)}")
            block.copy_(value)
        return y


class AttributeVAE(WithAttributes, VAE):
    """Base of `JointVAE` and `CVAE`: programs `model(x, y, n)` and `guide(x, y, n)` with attributes y, NaN = missing.

    Besides them each answers `generate(n, **given)` and `attribute_law(x, draws)`, from which `inference.generate`,
    `inference.impute` and `inference.classify` are made.
    """

    def attribute_law(self, x: Tensor, draws: int = 1) -> TensorRing:
        """p(y given x) as `draws` laws whose mean it is: batch `(draws, batch)`, event `(n_attributes,)`."""
        raise NotImplementedError
