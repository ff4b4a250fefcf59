"""The tensor-train joint prior over latent codes and attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors.checks import check_choice, check_count
from pyro_priors.distributions import Continuous, Variables
from pyro_priors.distributions.evidence import check_width
from pyro_priors.distributions.full_chain import Boundary
from pyro_priors.distributions.kinds import Covariance, Kind
from pyro_priors.modules.bonds import Rank, local_of, widest
from pyro_priors.modules.chain_prior import ChainPrior
from pyro_priors.modules.codes import check_codes, codes_and_attributes
from pyro_priors.modules.forms import CoreForm, Init
from pyro_priors.modules.latents import COMPONENTS, BlockSize, Components, attribute_kinds, latent_kinds, random_leaves
from pyro_priors.modules.ordering.orders import Order, OrderName
from pyro_priors.modules.plugins import PriorKnobs, Setting, Sizes
from pyro_priors.modules.prior import Prior
from pyro_priors.modules.trip import check_knobs

FEW = 3  # attributes that stand well beside a single vector of latents; measured: 1 does, 10 do not


class TTLP(ChainPrior):
    """Joint law of latents and attributes on a tensor train: every conditional and marginal of it is exact.

    p(z, y) = 1/Z 1^T prod_k Q_k 1, with Q_k a mixture over components of z_k or the matrix of the attribute's value;
    of a vector, which stands for several z_k or is an attribute, a mixture over its Gaussians N(x | loc[s], Sigma_s)

    Cost: O(D m^2 N) a row (train), O(D m^2 (N + m)) (ring), O(D m (N + m)) (factored) for D = d + number of attributes;
    for a vector of n numbers on factored cores O(m (n^2 + m)).

    Shapes:
        calling it returns a `TensorRing`, or a `FactoredTrain`, with event ``(d + n,)``, n columns of attributes,
        latents first; blocks ``z`` (latents) and ``y`` (all attributes), and each attribute under its own name.

    References:
        Kuznetsov et al., "Subset-Conditioned Generation Using Variational Autoencoder With A Learnable Tensor-Train
        Induced Prior", 2018, eq. 3-8.

    Args:
        latent_dim: number of latent variables d; 0 is legal (a law of the attributes alone).
        attributes: name -> `Discrete`, `Continuous` or `Vector`, which has as many columns as numbers.
        components: Gaussians per latent dimension, N, or as a sequence of each, N_k; None: 10.
        rank: size of the cores, m, or as a sequence the states of each bond along the chain, see `TRIP` (D numbers for
            d).
        boundary: ``"train"`` or ``"ring"`` (of full cores).
        order: of the variables in the chain: ``"data"``, ``"random"``, ``"declared"`` or a permutation of all of them
            (a vector is one), see `TRIP`; or ``"spread"``: attributes evenly among the latents, along a path through
            their mutual information from the first rows that tell all of them on (`start_at`, `reinitialize`). None:
            spread where several vectors of latents stand among attributes, so that each of these has latents beside
            it that can say most of it; from data otherwise.
        init: ``"mixture"`` or ``"noise"``, see `TRIP`.
        cores: ``"full"`` or ``"factored"``, see `TRIP`.
        fixed: keep everything at its random initialisation, as buffers.
        local: see `TRIP`. Many attributes that vary by themselves are learned sooner with several. None: up to 8 where
            several vectors of latents stand among attributes, 1 beside one vector or a lattice, up to 4 where there
            are no latents.
        block_size: see `TRIP`; ``"auto"`` makes one vector of all latents on factored cores beside at most three
            attributes, and vectors of two among more of them; a lattice of scalars on full cores or where `components`,
            a rank for each bond or places for each latent in the order are given.
        covariance, factors: see `TRIP`.

    Raises:
        ValueError: a size out of range, an unknown boundary, init, form or order, a ring of factored cores, local not
            a divisor of the rank, an attribute called z, y or self, no variable at all, sequences of another length
            than there are latents or bonds.

    See Also:
        `TRIP` for latents alone; `FlowTTLP`, whose latents are bent;
        `pyro_priors.tables.TableImputer`, which fits one to a table.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> from pyro_priors import Continuous, Discrete
        >>> prior = TTLP(latent_dim=2, attributes={"digit": Discrete(10), "age": Continuous(8)}, rank=3)
        >>> joint = prior()
        >>> joint.event_shape, joint.condition(digit=torch.tensor([3.0, torch.nan])).marginal("z").sample().shape
        (torch.Size([4]), torch.Size([2, 2]))
    """

    def __init__(
        self,
        latent_dim: int,
        attributes: Mapping[str, Kind],
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
    ):
        check_count("latent_dim", latent_dim, least=0)
        check_choice("cores", cores, ("full", "factored"))
        _check_attributes(attributes)
        if block_size == "auto":
            plain = cores == "factored" and components is None and not isinstance(rank, Sequence)
            block_size = _block_size(latent_dim, len(attributes), order) if plain else None
        elif block_size is not None and not isinstance(block_size, int):
            raise ValueError(f"block_size: expected 'auto', None or a number of latents, got {block_size!r}")
        among = bool(attributes) and cores == "factored" and block_size is not None and block_size < latent_dim
        block = latent_kinds(latent_dim, components, block_size, covariance, factors, cores, rank)
        others = attribute_kinds(attributes, cores, rank)
        kinds: dict[str, Kind | Sequence[Kind]] = {**({"z": block} if block else {}), **others}
        if not kinds:
            raise ValueError("attributes: expected at least one where latent_dim is 0, got none")
        groups = {"y": tuple(attributes)} if attributes else {}
        variables = Variables(kinds, *random_leaves([*block, *others.values()], init), groups=groups)
        if order is None:
            order = "spread" if among else "data"
        if local is None and latent_dim:
            local = local_of(None, widest(rank), cores, init, most=8) if among else 1
        super().__init__(variables, rank, cores, boundary or "train", order, init, fixed, local, len(block))
        self.latent_dim, self.attributes = latent_dim, dict(attributes)

    def start_at(self, images: Any, labels: Tensor | None = None) -> None:
        """Let attributes decide the order before training, where it is ``"spread"`` and nothing has decided it.

        Args:
            images: not used.
            labels: attributes ``(n, columns)``, NaN = missing.
        """
        if self._spread is not None and labels is not None and not self.fixed:
            latents = labels.new_full((len(labels), self.latent_dim), torch.nan, dtype=torch.get_default_dtype())
            self.lay(torch.cat([latents, labels.to(latents)], 1))

    def reinitialize(
        self,
        z: Tensor | Distribution | None = None,
        y: Tensor | None = None,
        *,
        force: bool = False,
        new_order: bool = False,
    ) -> bool:
        """Set the parameters from encoded data and observed attributes, in place, by the rules of `TRIP.reinitialize`.

        What was learned stays where it explains held-out rows better; with ``init="noise"`` it is thrown away. An
        attribute missing in every row is first drawn from the present law given what is observed, so that what was
        learned of it lives on.

        Args:
            z: draws of q(z given x), ``(n, d)``, or q(z given x) itself, batch ``(n,)``, from which they are drawn.
                Where there are no latents, the rows of attributes may stand here.
            y: attributes, ``(n, columns)``, NaN = missing; all missing by default.
            force: take the new parameters whatever they score.
            new_order: lay the chain anew, of ``order="data"`` or ``"spread"``; otherwise its first order stays.
                Whenever the chain is laid the new parameters are taken: tables belong to an order.

        Returns:
            Whether the parameters changed.

        Raises:
            ValueError: another shape, no rows, impossible values.

        Warns:
            UserWarning: codes that vary far less than the prior, as means of q(z given x) do.
        """
        z, y = codes_and_attributes(self, z, y)
        codes, width = check_codes(z, self.latent_dim), self._variables.width - self.latent_dim
        if y is None:
            y = codes.new_full((len(codes), width), torch.nan)
        if not isinstance(y, Tensor) or y.shape != (len(codes), width):
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"y: expected a tensor of shape ({len(codes)}, {width}), got {got}")
        check_width(self._variables, y, tuple(range(codes.shape[1], codes.shape[1] + y.shape[1])))
        value = torch.cat([codes, y.detach().to(codes)], -1)
        self._variables.check(value, tuple(range(value.shape[-1])))
        return self._reinitialize(value, force, isinstance(z, Tensor), new_order)


def _block_size(latent_dim: int, attributes: int, order: Order | None) -> int | None:
    """How many latents a vector has where nobody says so; None: each stands by itself."""
    places = None if order is None or isinstance(order, str) else len(order)
    if not latent_dim or (places is not None and places > 1 + attributes):
        return None
    return 2 if attributes > FEW and latent_dim > 1 and places is None else latent_dim


def _check_attributes(attributes: Mapping[str, Kind]):
    if not isinstance(attributes, Mapping):
        raise ValueError(f"attributes: expected a mapping from names to kinds, got {type(attributes).__name__}")
    for name, kind in attributes.items():
        if name in ("z", "y", "self"):
            raise ValueError(f"attributes: the name {name!r} is taken; choose another")
        if not isinstance(kind, Kind):
            raise ValueError(f"attributes[{name!r}]: expected Discrete, Continuous or Vector, got {kind!r}")


@dataclass(frozen=True)
class TTLPKnobs(PriorKnobs):
    """Those of the joint law of latents and attributes."""

    init: Init = "mixture"  # How the cores start: as a mixture, or from noise (the papers').
    boundary: Boundary = "train"  # How the chain closes.
    order: OrderName | None = None  # Of the variables in the chain; None: see `TTLP`.
    # Gaussians per latent (one number counts per vector of full cores and per attribute too) or of each; None: 10.
    components: Sizes | None = None
    rank: Sizes = 64  # States of a bond, or of each along the chain (of a train of full cores with both ends).
    local: int | None = None  # Of these, how many a cluster has at the start; None: see `TTLP`.
    cores: CoreForm = "factored"  # Factored, or a matrix for every state (the papers').
    block_size: BlockSize = "auto"  # Latents of a vector; None: each by itself (the papers'); auto: see `TTLP`.
    covariance: Covariance = "full"  # Of the Gaussians of a vector.
    factors: int | None = None  # Of a low-rank covariance; None: 8.

    title: ClassVar[str] = "TTLP"
    joint: ClassVar[bool] = True

    def __post_init__(self):
        check_knobs(self)

    @property
    def reinitializes(self) -> bool:
        return self.learns

    @property
    def standardizes(self) -> bool:
        return True

    def arguments(self, setting: Setting) -> dict[str, Any]:
        """What the module is made with."""
        every = Continuous(self.components if isinstance(self.components, int) else COMPONENTS)
        kinds = {name: every if isinstance(kind, Continuous) else kind for name, kind in setting.attributes.items()}
        several = isinstance(self.components, tuple)
        vectors = not several and self.block_size not in (None, "auto") and self.cores == "factored"
        size = {"components": None if vectors else self.components, "rank": self.rank, "local": self.local}
        how = {"boundary": self.boundary, "order": self.order, "init": self.init, "cores": self.cores}
        how |= {"block_size": self.block_size, "covariance": self.covariance, "factors": self.factors}
        return {"latent_dim": setting.latent_dim, "attributes": kinds, **size, **how}

    def build(self, setting: Setting) -> Prior:
        return TTLP(**self.arguments(setting))
