"""The usual prior of a deep generative model, with nothing to learn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors.checks import check_count
from pyro_priors.distributions.precise_normal import PreciseNormal
from pyro_priors.modules.planes import plane_of_normal
from pyro_priors.modules.plugins import PriorKnobs, Setting
from pyro_priors.modules.prior import Prior


class StandardNormal(Prior):
    """N(0, I) as a prior module, so that it can stand wherever a learnable prior stands.

    Args:
        latent_dim: size of the event, at least 1.
        fixed: as for the other priors; it makes no difference here.

    Example:
        >>> StandardNormal(3)().event_shape
        torch.Size([3])
    """

    if TYPE_CHECKING:
        __call__: Callable[[], dist.Independent]
    loc: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int, *, fixed: bool = True):
        super().__init__()
        check_count("latent_dim", latent_dim)
        self.latent_dim = latent_dim
        self.register_buffer("loc", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    def forward(self) -> dist.Independent:
        return PreciseNormal(self.loc, self.scale).to_event(1)

    def standardize(self) -> None:
        """Nothing is to be done."""

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        return plane_of_normal(law, dims)

    def extra_repr(self) -> str:
        return f"z: {self.latent_dim} x real"


@dataclass(frozen=True)
class StandardNormalKnobs(PriorKnobs):
    """N(0, I) has none."""

    title: ClassVar[str] = "N(0, I)"

    @property
    def learns(self) -> bool:
        return False

    def build(self, setting: Setting) -> StandardNormal:
        return StandardNormal(setting.latent_dim)
