"""The tensor-ring induced prior over latent codes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors.checks import check_count
from pyro_priors.distributions import Continuous, Variables
from pyro_priors.modules.codes import check_codes
from pyro_priors.modules.plugins import PriorKnobs, Setting, check_counts
from pyro_priors.modules.ring import Boundary, Init, RingPrior


class TRIP(RingPrior):
    """Tensor-ring induced prior: components ** latent_dim Gaussians on a lattice, weighted by a tensor ring.

    p(z) = 1/Z tr prod_k sum_s exp(log_cores[k, s]) N(z_k | loc[k, s], exp(log_scale[k, s]))

    Cost: O(d m^2 (N + m)) a row (ring), O(d m^2 N) (train); d N m^2 parameters and a few.

    Shapes:
        calling it returns a `TensorRing` with event ``(d,)``; its columns are the block ``z``.

    References:
        Kuznetsov et al., "A Prior of a Googol Gaussians", 2019, eq. 3-4, arXiv:1910.13148.

    Args:
        latent_dim: number of latent variables d.
        components: Gaussians per dimension, N.
        rank: size of the cores, m.
        boundary: ``"ring"`` or ``"train"``.
        init: ``"mixture"`` (a mixture of product laws, the clusters: dependence reaches along the whole chain) or
            ``"noise"`` (the paper's).
        fixed: keep everything at its random initialisation, as buffers.
        local: bond dimension within a cluster of ``init="mixture"``, a divisor of the rank, of which m / local clusters
            are made. With more than 1 neighbours in the chain can share what the other variables do not.

    Raises:
        ValueError: a size below 1, an unknown boundary or init, local not a divisor of the rank.

    See Also:
        `TTLP` for latents together with attributes.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> prior = TRIP(latent_dim=4, components=5, rank=3)
        >>> prior().sample((2,)).shape, prior().marginal([0, 1]).event_shape
        (torch.Size([2, 4]), torch.Size([2]))
    """

    def __init__(
        self,
        latent_dim: int,
        components: int = 10,
        rank: int = 20,
        boundary: Boundary = "ring",
        init: Init = "mixture",
        *,
        fixed: bool = False,
        local: int = 1,
    ):
        check_count("latent_dim", latent_dim)
        check_count("components", components)
        kinds = {"z": [Continuous(components)] * latent_dim}
        variables = Variables(kinds, *random_leaves([components] * latent_dim, init))
        super().__init__(variables, rank, boundary, None, init, fixed, local)
        self.latent_dim = latent_dim

    def reinitialize(self, z: Tensor | Distribution, *, force: bool = False) -> bool:
        """Set the parameters from encoded data, in place; a fixed prior is left alone.

        With ``init="mixture"``: 1-D mixtures per dimension, clusters, EM; taken only where it explains held-out codes
        (the same codes, where there are fewer than 50) better than the present parameters, so that nothing learned is
        lost, unless ``force``. With ``init="noise"`` always, as in the paper: 1-D mixtures per dimension, cores back
        to noise. Rows that lie far from all others are left out. An optimizer's state of these parameters is stale
        afterwards.

        Args:
            z: draws of q(z given x), ``(n, d)``, or q(z given x) itself, batch ``(n,)``, from which they are drawn;
                about 2,000 are enough.
            force: take the new parameters whatever they score (``init="noise"`` always does).

        Returns:
            Whether the parameters changed.

        Raises:
            ValueError: another shape, no rows, values that are not finite.

        Warns:
            UserWarning: codes that vary far less than the prior, as means of q(z given x) do.
        """
        return self._reinitialize(check_codes(z, self.latent_dim), force, isinstance(z, Tensor))


def random_leaves(components: list[int], init: Init) -> tuple[Tensor, Tensor]:
    """loc uniform on [-1, 1]; scale 1/N (``"noise"``, TRIP section 3.2), or so that each column has variance one.

    With the second a model starts as it would under N(0, I), from where `reinitialize` and the gradient take it.
    Takes the number of components of each column. ``-> (C, N), (C, N)``
    """
    widest = max(components, default=0)
    scale = torch.tensor([1 / n if init == "noise" else (2 / 3) ** 0.5 for n in components])
    return torch.rand(len(components), widest) * 2 - 1, scale.unsqueeze(-1).repeat(1, widest)


@dataclass(frozen=True)
class TRIPKnobs(PriorKnobs):
    """Those of the tensor ring of latents."""

    init: Init = "mixture"  # How TRIP's cores start: as a mixture, or from noise (the paper's).
    boundary: Boundary = "ring"  # How TRIP's chain closes.
    components: int = 10  # Gaussians per latent dimension.
    rank: int = 20  # Size of TRIP's cores.
    fixed: bool = False  # Freeze the prior at its random initialisation (columns F of TRIP Table 1).
    local: int = 1  # Bond dimension within a cluster, a divisor of the rank.

    title: ClassVar[str] = "TRIP"

    def __post_init__(self):
        check_counts(self, "components", "rank", "local")
        check_local(self.local, self.rank, self.init)

    @property
    def reinitializes(self) -> bool:
        return self.learns

    def build(self, setting: Setting) -> TRIP:
        how = {"fixed": self.fixed, "local": self.local}
        return TRIP(setting.latent_dim, self.components, self.rank, self.boundary, self.init, **how)


def check_local(local: int, rank: int, init: Init) -> None:
    """`ValueError` where clusters cannot have bonds of this size."""
    if rank % local:
        raise ValueError(f"local: expected a divisor of the rank {rank}, got {local}")
    if local > 1 and init == "noise":
        raise ValueError(f"local: expected 1 with init noise, got {local}")
