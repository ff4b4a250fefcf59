"""The tensor-ring induced prior over latent codes."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor
from torch.distributions import Distribution

from pyro_priors.checks import check_count
from pyro_priors.distributions import Variables
from pyro_priors.distributions.full_chain import Boundary
from pyro_priors.distributions.kinds import Covariance
from pyro_priors.modules.bonds import Rank, check_rank, widest
from pyro_priors.modules.chain_prior import ChainPrior
from pyro_priors.modules.codes import check_codes
from pyro_priors.modules.forms import CoreForm, Init, check_boundary
from pyro_priors.modules.latents import Components, component_counts, latent_kinds, random_leaves
from pyro_priors.modules.ordering.orders import Order
from pyro_priors.modules.plugins import PriorKnobs, Setting, Sizes, check_counts


class TRIP(ChainPrior):
    """Tensor-ring induced prior: components ** latent_dim Gaussians on a lattice, weighted by a tensor ring.

    p(z) = 1/Z tr prod_k sum_s exp(log_cores[k, s]) N(z_k | loc[k, s], exp(log_scale[k, s])), or with factored cores as
    `pyro_priors.distributions.FactoredTrain`, its tables the softmaxes of logits. A vector stands for several z_k, its
    Gaussians N(z | loc[s], Sigma_s); one of all latents is the mixture sum_s w_s N(z | loc[s], Sigma_s).

    Cost: O(d m^2 (N + m)) a row (ring), O(d m^2 N) (train), O(d m (N + m)) (factored); d N m^2 parameters and a few,
    or d m (N + m). For a vector of n latents on factored cores O(m (n^2 + m)), and as many parameters.

    Shapes:
        calling it returns a `TensorRing`, or a `FactoredTrain`, with event ``(d,)``; its columns are the block ``z``.

    References:
        Kuznetsov et al., "A Prior of a Googol Gaussians", 2019, eq. 3-4, arXiv:1910.13148.

    Args:
        latent_dim: number of latent variables d.
        components: Gaussians per dimension, N, or as a sequence of each, N_k; None: 10.
        rank: size of the cores, m, or as a sequence the states of each bond along the chain: of a ring and of factored
            cores d numbers m_k (core k of a ring is ``m_k x m_(k+1)``, the last closes with m_1; a factored variable is
            read from its bond), of a train of full cores d + 1. Tables then are as wide as the widest, whose states
            count as clusters at the start; a bond of one state cuts the chain.
        boundary: ``"ring"`` or ``"train"``; None: the ring, which factored cores do not close.
        init: ``"mixture"`` (a mixture of product laws, the clusters: dependence reaches along the whole chain) or
            ``"noise"`` (the paper's).
        cores: ``"full"`` (the paper's, a matrix for every state) or ``"factored"`` (`FactoredTrain`: the bond's state
            emits the variable's, then moves on, so that ranks of hundreds are in reach); None: factored with vectors.
        order: of the variables in the chain: ``"declared"``, ``"random"``, ``"data"`` (neighbours depend on each other:
            laid at the first `reinitialize` or `fit_prior`, declared until then) or a permutation; kept in the buffer
            ``order``.
        fixed: keep everything at its random initialisation, as buffers.
        local: states of a bond within a cluster of ``init="mixture"``, a divisor of the rank, of which m / local
            clusters are made. With more than 1 neighbours in the chain can share what the other variables do not.
            None: 1; of `TTLP` without latents and with factored cores up to 4, not more than there are clusters.
        block_size: None for a lattice of scalars (the papers'), or how many latents a `Vector` variable takes
            (`latent_dim`: one vector), whose Gaussians are those of the bond's states (factored cores), or `components`
            of its own (full ones).
        covariance: of these Gaussians, ``"full"``, ``"diagonal"`` or ``"low-rank"``.
        factors: of a low-rank covariance, see `Vector`.

    Raises:
        ValueError: a size below 1, an unknown boundary, init, form, covariance or order, a ring of factored cores,
            local not a divisor of the rank, arguments that would do nothing, more factors than a vector has latents,
            sequences of another length than there are latents or bonds.

    See Also:
        `TTLP` for latents together with attributes; `Vector`.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> prior = TRIP(latent_dim=4, components=5, rank=3)
        >>> prior().sample((2,)).shape, prior().marginal([0, 1]).event_shape
        (torch.Size([2, 4]), torch.Size([2]))
    """

    def __init__(
        self,
        latent_dim: int,
        components: Components = None,
        rank: Rank = 20,
        boundary: Boundary | None = None,
        init: Init = "mixture",
        cores: CoreForm | None = None,
        *,
        order: Order = "declared",
        fixed: bool = False,
        local: int | None = None,
        block_size: int | None = None,
        covariance: Covariance = "full",
        factors: int | None = None,
    ):
        check_count("latent_dim", latent_dim)
        if block_size is not None:
            check_count("block_size", block_size)
        cores = cores or ("full" if block_size is None else "factored")
        kinds = latent_kinds(latent_dim, components, block_size, covariance, factors, cores, rank)
        variables = Variables({"z": kinds}, *random_leaves(kinds, init))
        chain = None if order == "declared" else order
        super().__init__(variables, rank, cores, boundary, chain, init, fixed, 1 if local is None else local)
        self.latent_dim = latent_dim

    def reinitialize(self, z: Tensor | Distribution, *, force: bool = False, new_order: bool = False) -> bool:
        """Set the parameters from encoded data, in place; a fixed prior is left alone.

        With ``init="mixture"``: 1-D mixtures per dimension, clusters, EM; taken only where it explains held-out codes
        (the same codes, where there are fewer than 50) better than the present parameters, so that nothing learned is
        lost, unless ``force``. With ``init="noise"`` always, as in the paper: 1-D mixtures per dimension, cores back
        to noise. Rows that lie far from all others are left out. An optimizer's state of these parameters is stale
        afterwards.

        With vectors and factored cores that is the first call. Later ones go on by EM from the present parameters while
        held-out codes gain, twice at most; a gain of a nat means other codes than were learned, which start anew.

        Args:
            z: draws of q(z given x), ``(n, d)``, or q(z given x) itself, batch ``(n,)``, from which they are drawn;
                about 2,000 are enough, with vectors 20,000.
            force: take the new parameters whatever they score (``init="noise"`` always does).
            new_order: lay the chain anew, of ``order="data"``; otherwise its first order stays. Whenever the chain is
                laid the new parameters are taken: tables belong to an order.

        Returns:
            Whether the parameters changed.

        Raises:
            ValueError: another shape, no rows, values that are not finite.

        Warns:
            UserWarning: codes that vary far less than the prior, as means of q(z given x) do.
        """
        return self._reinitialize(check_codes(z, self.latent_dim), force, isinstance(z, Tensor), new_order)


@dataclass(frozen=True)
class TRIPKnobs(PriorKnobs):
    """Those of the tensor ring of latents."""

    init: Init = "mixture"  # How TRIP's cores start: as a mixture, or from noise (the paper's).
    boundary: Boundary | None = None  # How TRIP's chain closes; None: as a ring, one of factored cores as a train.
    # Gaussians per latent, one number or one for each latent, or per vector of full cores; None: 10.
    components: Sizes | None = None
    rank: Sizes = 20  # Size of TRIP's cores, or states of each bond along the chain (of a train with both ends).
    fixed: bool = False  # Freeze the prior at its random initialisation (columns F of TRIP Table 1).
    local: int = 1  # States of a bond within a cluster, a divisor of the rank.
    cores: CoreForm | None = None  # A matrix for every state (the paper's), or factored; None: of vectors factored.
    order: Literal["data", "random", "declared"] = "declared"  # Of the latents in the chain.
    block_size: int | None = None  # Latents of a vector variable; None: each latent by itself (the paper's).
    covariance: Covariance = "full"  # Of the Gaussians of a vector.
    factors: int | None = None  # Of a low-rank covariance; None: 8.

    title: ClassVar[str] = "TRIP"

    def __post_init__(self):
        check_knobs(self)

    @property
    def reinitializes(self) -> bool:
        return self.learns

    @property
    def standardizes(self) -> bool:
        return True

    def build(self, setting: Setting) -> TRIP:
        how = {"cores": self.cores, "order": self.order, "fixed": self.fixed, "local": self.local}
        how |= {"block_size": self.block_size, "covariance": self.covariance, "factors": self.factors}
        return TRIP(setting.latent_dim, self.components, self.rank, self.boundary, self.init, **how)


def check_knobs(knobs: Any) -> None:
    """`ValueError` where the knobs of a chain do not fit each other."""
    check_counts(knobs, *(name for name in ("rank", "components") if isinstance(getattr(knobs, name), int)))
    check_rank(widest(knobs.rank), knobs.local or 1, knobs.init)
    cores = knobs.cores or ("full" if knobs.block_size is None else "factored")
    check_boundary(knobs.boundary, cores)
    several = isinstance(knobs.components, tuple)
    latents = len(knobs.components) if several else knobs.block_size or 1
    if knobs.block_size == "auto":
        component_counts(knobs.components, latents if several else 1)
    else:
        components = None if knobs.joint and knobs.block_size and not several else knobs.components  # of attributes too
        latent_kinds(latents, components, knobs.block_size, knobs.covariance, knobs.factors, cores, knobs.rank)
