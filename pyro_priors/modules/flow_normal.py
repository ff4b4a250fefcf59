"""A normal law, or another prior, pushed through an invertible network that is learned."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_priors import distributions
from pyro_priors.distributions.full_chain import Boundary
from pyro_priors.modules.coupling_flow import Bend, CouplingFlow, CouplingKnobs, check_latents
from pyro_priors.modules.forms import Init
from pyro_priors.modules.plugins import Setting, check_counts, knob
from pyro_priors.modules.prior import check_dims
from pyro_priors.modules.standard_normal import StandardNormal
from pyro_priors.modules.trip import TRIPKnobs


class FlowNormal(CouplingFlow):
    r"""A learned bijection g between the representation z and a generation space, where the law is simple (dpVAE).

    ``p(z) = p_0(g(z)) |det dg/dz|``, with p_0 = N(0, I) or another prior module

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
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> prior = FlowNormal(latent_dim=4)
        >>> law = prior()
        >>> z = law.sample((3,))
        >>> torch.allclose(law.to_representation(law.to_generation(z)), z)
        True
    """

    if TYPE_CHECKING:
        __call__: Callable[[], distributions.FlowNormal]

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
        check_latents(latent_dim)
        base = StandardNormal(latent_dim) if base is None else base
        if getattr(base, "latent_dim", latent_dim) != latent_dim:
            raise ValueError(f"base: expected one of {latent_dim} latents, got {base.latent_dim}")
        if getattr(base, "attributes", None) or getattr(base, "takes_encoder", False):
            raise ValueError(f"base: expected a prior of latents alone, without an encoder, got {base}")
        super().__init__(latent_dim, layers, hidden, transform, base, fixed)

    def forward(self) -> distributions.FlowNormal:
        return distributions.FlowNormal(self.base(), self.steps())

    def reinitialize(self, z: Tensor | Distribution, *, force: bool = False) -> bool:
        """Reinitialise the base from codes mapped to the generation space, where it can be; the couplings stay.

        Args:
            z: draws of q(z given x), ``(n, d)``, or q(z given x) itself, batch ``(n,)``, from which they are drawn.
            force: as that of the base.
        """
        return self._reinitialize(z, force=force)

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        """The law itself where it has two latents; with more it has no closed form."""
        check_dims(dims, self.latent_dim)
        return law if self.latent_dim == 2 else None


@dataclass(frozen=True)
class FlowNormalKnobs(CouplingKnobs):
    """Those of the flow, and of the tensor ring that it may bend."""

    flow_base: Literal["normal", "trip"] = "normal"  # What the flow transforms.
    fixed: bool = False  # Freeze the prior at its random initialisation (columns F of TRIP Table 1).
    init: Init = knob("mixture", flow_base="trip")  # How TRIP's cores start: as a mixture, or from noise (the paper's).
    boundary: Boundary = knob("ring", flow_base="trip")  # How TRIP's chain closes.
    components: int = knob(10, flow_base="trip")  # Gaussians per latent dimension of TRIP.
    rank: int = knob(20, flow_base="trip")  # Size of TRIP's cores.

    title: ClassVar[str] = "flow"
    least_latents: ClassVar[int] = 2

    def __post_init__(self):
        super().__post_init__()
        check_counts(self, "components", "rank")

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
