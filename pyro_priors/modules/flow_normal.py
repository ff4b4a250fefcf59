"""A normal law, or another prior, pushed through an invertible network that is learned."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pyro.distributions import Delta, transforms
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_priors import distributions
from pyro_priors.checks import check_choice, check_count
from pyro_priors.distributions.flow_normal import forgetful
from pyro_priors.distributions.full_chain import Boundary
from pyro_priors.modules.codes import check_codes
from pyro_priors.modules.couplings import affine_coupling, make_identity, spline_coupling
from pyro_priors.modules.forms import Init
from pyro_priors.modules.ownership import freeze
from pyro_priors.modules.plugins import PriorKnobs, Setting, check_counts, knob
from pyro_priors.modules.prior import Prior, check_dims
from pyro_priors.modules.standard_normal import StandardNormal
from pyro_priors.modules.trip import TRIPKnobs

Bend = Literal["affine", "spline"]


class FlowNormal(Prior):
    r"""A learned bijection g between the representation z and a generation space, where the law is simple (dpVAE).

    p(z) = p_0(g(z)) |det dg/dz|, with p_0 = N(0, I) or another prior module

    g is a chain of couplings: half of the latents stay as they are and say how the others are scaled and shifted
    (``"affine"``), or bent by a monotone spline within [-5, 5] (``"spline"``). From one coupling to the next the
    latents move on by half of their number. At the start g is nearly the identity. Cost: one pass of all networks for a
    density, one for a draw.

    Shapes:
        calling it returns a `pyro_priors.distributions.FlowNormal` with event ``(latent_dim,)``.

    References:
        dpVAE: Bhalodia, Lee, Elhabian, 2019, eq. 2-4, arXiv:1911.10506; for the splines Dolatabadi, Erfani, Leckie,
        "Invertible generative modeling using linear rational splines", 2020, arXiv:2001.05168.

    Args:
        latent_dim: size d of z, at least 2.
        layers: number of couplings.
        hidden: widths of the hidden layers of each network.
        transform: ``"affine"`` or ``"spline"``.
        base: the prior module of z_0, one of latents alone such as `TRIP`; N(0, I) by default.
        fixed: keep everything at its random initialisation, as buffers.

    Raises:
        ValueError: latent_dim < 2, another size below 1, an unknown transform, a base of another
            size, with attributes, or that takes an encoder.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> prior = FlowNormal(latent_dim=4)
        >>> law = prior()
        >>> z = law.sample((3,))
        >>> torch.allclose(law.to_representation(law.to_generation(z)), z)
        True
    """

    if TYPE_CHECKING:
        __call__: Callable[[], distributions.FlowNormal]
    base: nn.Module
    swap: Tensor

    def __init__(
        self,
        latent_dim: int,
        layers: int = 6,
        hidden: tuple[int, ...] = (64, 64),
        transform: Bend = "affine",
        base: nn.Module | None = None,
        *,
        fixed: bool = False,
    ) -> None:
        super().__init__()
        self.latent_dim, self.fixed, self.transform = check_count("latent_dim", latent_dim, least=2), fixed, transform
        check_choice("transform", transform, ("affine", "spline"))
        check_count("layers", layers)
        widths = [check_count("hidden", width) for width in hidden]
        self.hidden = tuple(widths)
        self.base = StandardNormal(latent_dim) if base is None else base
        if getattr(self.base, "latent_dim", latent_dim) != latent_dim:
            raise ValueError(f"base: expected one of {latent_dim} latents, got {self.base.latent_dim}")
        if getattr(self.base, "attributes", None) or getattr(self.base, "takes_encoder", False):
            raise ValueError(f"base: expected a prior of latents alone, without an encoder, got {self.base}")
        coupling = affine_coupling if transform == "affine" else spline_coupling
        self.couplings = nn.ModuleList(coupling(latent_dim, widths) for _ in range(layers))
        self.register_buffer("swap", torch.arange(latent_dim).roll(-(latent_dim // 2)), persistent=False)
        if fixed:
            freeze(self)

    def forward(self) -> distributions.FlowNormal:
        # Copies: the inverse that a transform remembers would refer to it in a circle.
        first, *others = (forgetful(coupling) for coupling in self.couplings)  # pyright: ignore[reportArgumentType]
        steps = [first.inv]
        for coupling in others:
            steps += [transforms.Permute(self.swap).inv, coupling.inv]
        return distributions.FlowNormal(self.base(), steps)

    def to_generation(self, z: Tensor) -> Tensor:
        """z_0 = g(z), ``(*, d)``."""
        return self().to_generation(z)

    def to_representation(self, z0: Tensor) -> Tensor:
        """z = g^{-1}(z_0), ``(*, d)``."""
        return self().to_representation(z0)

    @torch.no_grad()
    def reinitialize(self, z: Tensor | Distribution, *, force: bool = False) -> bool:
        """Reinitialise the base from codes mapped to the generation space, where it can be; the couplings stay.

        Args:
            z: draws of q(z given x), ``(n, d)``, or q(z given x) itself, batch ``(n,)``, from which they are drawn.
            force: as that of the base.
        """
        codes = check_codes(z, self.latent_dim)
        reinitialize = getattr(self.base, "reinitialize", None)
        if self.fixed or reinitialize is None:
            return False
        codes = self.to_generation(codes)
        return reinitialize(codes if isinstance(z, Tensor) else Delta(codes, event_dim=1), force=force)

    @torch.no_grad()
    def standardize(self) -> None:
        """Standardize the base, and make the couplings the identity; splines, whose outer slope is .999, nearly."""
        if not isinstance(self.base, Prior):
            raise NotImplementedError(f"standardize: expected a base on Prior, got {type(self.base).__name__}")
        self.base.standardize()
        for coupling in self.couplings:
            make_identity(coupling)

    def schema(self) -> dict[str, Any]:
        size = {"layers": len(self.couplings), "hidden": list(self.hidden), "transform": self.transform}
        base = self.base.schema() if isinstance(self.base, Prior) else {"law": type(self.base).__name__}
        return {**super().schema(), **size, "base": base}

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        """The law itself where it has two latents; with more it has no closed form."""
        check_dims(dims, self.latent_dim)
        return law if self.latent_dim == 2 else None

    def extra_repr(self) -> str:
        size = f"z: {self.latent_dim} x real, layers={len(self.couplings)}, hidden={self.hidden}"
        return f"{size}, transform={self.transform}, fixed={self.fixed}"


@dataclass(frozen=True)
class FlowNormalKnobs(PriorKnobs):
    """Those of the flow, and of the tensor ring that it may bend."""

    layers: int = 6  # Couplings of the flow.
    flow_hidden: tuple[int, ...] = (64, 64)  # Widths of the hidden layers of the flow's networks.
    transform: Bend = "affine"  # What the flow's couplings do to half of the latents.
    flow_base: Literal["normal", "trip"] = "normal"  # What the flow transforms.
    fixed: bool = False  # Freeze the prior at its random initialisation (columns F of TRIP Table 1).
    init: Init = knob("mixture", flow_base="trip")  # How TRIP's cores start: as a mixture, or from noise (the paper's).
    boundary: Boundary = knob("ring", flow_base="trip")  # How TRIP's chain closes.
    components: int = knob(10, flow_base="trip")  # Gaussians per latent dimension of TRIP.
    rank: int = knob(20, flow_base="trip")  # Size of TRIP's cores.

    title: ClassVar[str] = "flow"
    least_latents: ClassVar[int] = 2

    def __post_init__(self):
        check_counts(self, "layers", "components", "rank")
        if not self.flow_hidden or min(self.flow_hidden) < 1:
            raise ValueError(f"flow_hidden: expected one width or more, each at least 1, got {self.flow_hidden}")

    @property
    def reinitializes(self) -> bool:
        return self.learns and self.flow_base == "trip"

    @property
    def standardizes(self) -> bool:
        return True

    def build(self, setting: Setting) -> FlowNormal:
        base = None
        if self.flow_base == "trip":
            base = TRIPKnobs(self.init, self.boundary, self.components, self.rank, self.fixed).build(setting)
        size = setting.latent_dim, self.layers, self.flow_hidden
        return FlowNormal(*size, self.transform, base, fixed=self.fixed)
