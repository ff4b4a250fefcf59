"""What priors that bend another prior share: couplings between the latents and a space where they are simple."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pyro.distributions import Delta, transforms
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.transforms import Transform

from pyro_priors.checks import check_choice, check_count
from pyro_priors.distributions.flow_normal import forgetful
from pyro_priors.modules.codes import check_codes
from pyro_priors.modules.couplings import affine_coupling, make_identity, spline_coupling
from pyro_priors.modules.ownership import freeze
from pyro_priors.modules.plugins import PriorKnobs, check_counts
from pyro_priors.modules.prior import Prior

Bend = Literal["affine", "spline"]


class CouplingFlow(Prior):
    """Owner of couplings g and of a prior, the base, of what g makes of the latents.

    Not meant to be used itself: see `FlowNormal` and `FlowTTLP`.

    Args:
        latent_dim, layers, hidden, transform, fixed: as of `FlowNormal`.
        base: the prior of the generation space.
    """

    base: Any
    swap: Tensor

    def __init__(
        self, latent_dim: int, layers: int, hidden: tuple[int, ...], transform: Bend, base: nn.Module, fixed: bool
    ) -> None:
        super().__init__()
        self.latent_dim, self.fixed, self.transform = check_latents(latent_dim), fixed, transform
        check_choice("transform", transform, ("affine", "spline"))
        check_count("layers", layers)
        widths = [check_count("hidden", width) for width in hidden]
        self.hidden = tuple(widths)
        self.base = base
        coupling = affine_coupling if transform == "affine" else spline_coupling
        self.couplings = nn.ModuleList(coupling(latent_dim, widths) for _ in range(layers))
        self.register_buffer("swap", torch.arange(latent_dim).roll(-(latent_dim // 2)), persistent=False)
        if fixed:
            freeze(self)

    def steps(self) -> list[Transform]:
        """What leads from the generation space to the latents, in this order, at the present parameters."""
        # Copies: the inverse that a transform remembers would refer to it in a circle.
        first, *others = (forgetful(coupling) for coupling in self.couplings)  # pyright: ignore[reportArgumentType]
        steps = [first.inv]
        for coupling in others:
            steps += [transforms.Permute(self.swap).inv, coupling.inv]
        return steps

    def to_generation(self, z: Tensor) -> Tensor:
        """z_0 = g(z), ``(*, d)``."""
        return self().to_generation(z)

    def to_representation(self, z0: Tensor) -> Tensor:
        """z = g^{-1}(z_0), ``(*, d)``."""
        return self().to_representation(z0)

    def expect_rows(self) -> None:
        """As of the base: something will call `reinitialize`."""
        if hasattr(self.base, "expect_rows"):
            self.base.expect_rows()

    def start_at(self, images: Any, labels: Any = None) -> None:
        """As of the base, where it starts at data."""
        if hasattr(self.base, "start_at"):
            self.base.start_at(images, labels)

    def schema(self) -> dict[str, Any]:
        size = {"layers": len(self.couplings), "hidden": list(self.hidden), "transform": self.transform}
        base = self.base.schema() if isinstance(self.base, Prior) else {"law": type(self.base).__name__}
        return {**super().schema(), **size, "base": base}

    def extra_repr(self) -> str:
        size = f"z: {self.latent_dim} x real, layers={len(self.couplings)}, hidden={self.hidden}"
        return f"{size}, transform={self.transform}, fixed={self.fixed}"

    @torch.no_grad()
    def _reinitialize(self, z: Tensor | Distribution, *more: Any, **how: Any) -> bool:
        """Reinitialise the base, where it can be, from codes mapped to it: draws remain known as draws."""
        codes = check_codes(z, self.latent_dim)
        reinitialize = getattr(self.base, "reinitialize", None)
        if self.fixed or reinitialize is None:
            return False
        codes = self.to_generation(codes)
        return reinitialize(codes if isinstance(z, Tensor) else Delta(codes, event_dim=1), *more, **how)

    @torch.no_grad()
    def standardize(self) -> None:
        """Standardize the base, and make the couplings the identity; splines, whose outer slope is .999, nearly."""
        if not isinstance(self.base, Prior):
            raise NotImplementedError(f"standardize: expected a base on Prior, got {type(self.base).__name__}")
        self.base.standardize()
        for coupling in self.couplings:
            make_identity(coupling)


def check_latents(latent_dim: int) -> int:
    """`ValueError` unless there are two halves of latents."""
    return check_count("latent_dim", latent_dim, least=2)


@dataclass(frozen=True)
class CouplingKnobs(PriorKnobs):
    """Those of the couplings; not a prior itself."""

    layers: int = 6  # Couplings of the flow.
    flow_hidden: tuple[int, ...] = (64, 64)  # Widths of the hidden layers of the flow's networks.
    transform: Bend = "affine"  # What the flow's couplings do to half of the latents.

    def __post_init__(self):
        check_counts(self, "layers")
        if not self.flow_hidden or min(self.flow_hidden) < 1:
            raise ValueError(f"flow_hidden: expected one width or more, each at least 1, got {self.flow_hidden}")
