"""The joint prior over latents and attributes whose latents are bent by an invertible network that is learned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor
from torch.distributions import Distribution

from pyro_priors import distributions
from pyro_priors.distributions.full_chain import Boundary
from pyro_priors.distributions.kinds import Covariance, Kind
from pyro_priors.modules.bonds import Rank
from pyro_priors.modules.coupling_flow import Bend, CouplingFlow, CouplingKnobs, check_latents
from pyro_priors.modules.forms import CoreForm, Init
from pyro_priors.modules.latents import BlockSize, Components
from pyro_priors.modules.ordering.orders import Order
from pyro_priors.modules.plugins import Setting
from pyro_priors.modules.prior import Fitting, check_dims
from pyro_priors.modules.ttlp import TTLP, TTLPKnobs


class FlowTTLP(CouplingFlow):
    r"""A `TTLP` whose latents are pushed through couplings, as those of `FlowNormal`; attributes stay where they are.

    ``p(z, y) = p_0(g(z), y) |det dg/dz|``, with p_0 the law of a `TTLP`

    What the Gaussians of a chain cannot bend the couplings do, and all that a TTLP answers stays exact: any attributes
    may be missing, given or asked. The latents of a row are given all or not at all. Cost: that of the `TTLP`, and one
    pass of all networks.

    Shapes:
        calling it returns a `pyro_priors.distributions.FlowJoint` with event ``(d + n,)``, n columns of attributes,
        latents first; blocks ``z`` (latents) and ``y`` (all attributes), and each attribute under its own name.

    References:
        dpVAE: Bhalodia, Lee, Elhabian, 2019, eq. 2-4, arXiv:1911.10506; Kuznetsov et al., "Subset-Conditioned
        Generation Using Variational Autoencoder With A Learnable Tensor-Train Induced Prior", 2018, eq. 3-8.

    Args:
        latent_dim: number of latent variables d, at least 2.
        attributes: name -> kind, as of `TTLP`.
        layers, hidden, transform: of the couplings, as of `FlowNormal`.
        components, rank, boundary, order, init, cores, local, block_size, covariance, factors: of the chain, as of
            `TTLP`.
        fixed: keep everything at its random initialisation, as buffers.

    Raises:
        ValueError: latent_dim < 2, or as `FlowNormal` and `TTLP`.

    See Also:
        `TTLP`, which answers questions about some of the latents too; `FlowNormal` for latents alone.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> from pyro_priors import Discrete
        >>> joint = FlowTTLP(latent_dim=2, attributes={"digit": Discrete(10)}, rank=3)()
        >>> joint.condition(digit=torch.tensor([3.0, torch.nan])).marginal("z").sample().shape
        torch.Size([2, 2])
        >>> joint.condition(z=torch.zeros(5, 2)).categorical("digit").probs.shape
        torch.Size([5, 10])
    """

    if TYPE_CHECKING:
        __call__: Callable[[], distributions.FlowJoint]
    base: TTLP

    def __init__(
        self,
        latent_dim: int,
        attributes: Mapping[str, Kind],
        layers: int = 6,
        hidden: tuple[int, ...] = (64, 64),
        transform: Bend = "affine",
        components: Components = None,
        rank: Rank = 64,
        boundary: Boundary | None = "train",
        order: Order | None = None,
        init: Init = "mixture",
        cores: CoreForm = "factored",
        *,
        fixed: bool = False,
        local: int | None = None,
        block_size: BlockSize = "auto",
        covariance: Covariance = "full",
        factors: int | None = None,
    ) -> None:
        chain = components, rank, boundary, order, init, cores
        how = {"fixed": fixed, "local": local, "block_size": block_size, "covariance": covariance, "factors": factors}
        base = TTLP(check_latents(latent_dim), attributes, *chain, **how)
        super().__init__(latent_dim, layers, hidden, transform, base, fixed)
        self.attributes = base.attributes

    def forward(self) -> distributions.FlowJoint:
        """The prior at the present parameters, to be built afresh at every optimizer step."""
        return distributions.FlowJoint(self.base(), self.steps())

    def reinitialize(
        self, z: Tensor | Distribution, y: Tensor | None = None, *, force: bool = False, new_order: bool = False
    ) -> bool:
        """Reinitialise the base from attributes and codes mapped to the generation space; the couplings stay.

        Args:
            z: draws of q(z given x), ``(n, d)``, or q(z given x) itself, batch ``(n,)``, from which they are drawn.
            y, force, new_order: as of `TTLP.reinitialize`.

        Returns:
            Whether the parameters changed.
        """
        return self._reinitialize(z, y, force=force, new_order=new_order)

    def fitting(self) -> Fitting:
        return super().fitting()._replace(rows=self.base.fitting().rows)

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        """The law of the latents where there are two; with more that of two has no closed form."""
        check_dims(dims, self.latent_dim)
        return law.marginal("z") if self.latent_dim == 2 else None


@dataclass(frozen=True)
class FlowTTLPKnobs(TTLPKnobs, CouplingKnobs):
    """Those of the joint law of latents and attributes, and of the couplings that bend its latents."""

    title: ClassVar[str] = "TTLP through a flow"
    least_latents: ClassVar[int] = 2

    def __post_init__(self):
        TTLPKnobs.__post_init__(self)
        CouplingKnobs.__post_init__(self)

    def build(self, setting: Setting) -> FlowTTLP:
        couplings = {"layers": self.layers, "hidden": self.flow_hidden, "transform": self.transform}
        return FlowTTLP(**self.arguments(setting), **couplings)
