"""A joint law of latents and attributes whose latents are pushed through an invertible network."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Self

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.evidence import as_floats, as_tensor
from pyro_priors.distributions.flow_normal import FlowNormal
from pyro_priors.distributions.walks import known_as
from pyro_priors.ops import full_precision, holds

WHY = "a part of them would have to be integrated out through the flow, which has no closed form"


class FlowJoint(dist.TorchDistribution):
    r"""z = g^{-1}(z_0) with z_0 and the attributes y from a law on a chain, and an invertible g that does not see y.

    .. math:: p(z, y) = p_0(g(z), y) \left| \det \frac{\partial g}{\partial z} \right|

    What is asked of z and y is asked of g(z) and y under p_0, so that it is as exact as it is there: p(y_ob), p(z given
    y_ob), p(y_un given z, y_ob), whatever is missing (NaN). The latents of a row are given all or not at all.

    Cost: what p_0 costs and one pass of the steps.

    Shapes:
        batch shape and event shape are those of p_0: latents first, then its other variables.

    References:
        dpVAE: Bhalodia, Lee, Elhabian, 2019, eq. 2-4, arXiv:1911.10506; Kuznetsov et al., "Subset-Conditioned
        Generation Using Variational Autoencoder With A Learnable Tensor-Train Induced Prior", 2018, eq. 5-8.

    Args:
        base: law of z_0 and y, whose first columns are a block z of real latents.
        steps: transforms that lead from z_0 to z, as those of `FlowNormal`.
        validate_args: whether draws are mapped back to see that they can be; `base` checks what it is asked itself.

    Raises:
        ValueError: a base without such latents; with validation, a draw that g does not map back to its z_0.

    See Also:
        `pyro_priors.FlowTTLP`, the module that owns the networks; `FlowNormal`.

    Example:
        >>> from pyro_priors.distributions import Continuous, Discrete, TensorRing, Variables
        >>> variables = Variables({"z": [Continuous(2)] * 2, "a": Discrete(2)}, torch.zeros(2, 2), torch.ones(2, 2))
        >>> base = TensorRing(torch.zeros(3, 2, 1, 1), variables)
        >>> joint = FlowJoint(base, [dist.transforms.AffineTransform(3.0, 2.0)])
        >>> joint.condition(a=torch.tensor([1.0, torch.nan])).marginal("z").sample().shape
        torch.Size([2, 2])
        >>> joint.condition(z=torch.tensor([3.0, 5.0])).categorical("a").probs
        tensor([0.5000, 0.5000])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}  # pyright: ignore[reportIncompatibleMethodOverride] (as torch's)

    def __init__(
        self, base: ChainLaw, steps: Sequence[dist.transforms.Transform], validate_args: bool | None = None
    ) -> None:
        columns = base.variables.columns("z")
        latents = base.marginal("z")
        whole = columns == tuple(range(len(columns))) == tuple(range(latents.event_shape[0]))
        if not whole or latents.support is not constraints.real_vector:
            raise ValueError(f"base: expected a law whose first columns are a block z of real latents, got {base}")
        self.base, self.latent_dim = base, len(columns)
        self.flow = FlowNormal(latents, steps, validate_args)  # moves latents; the law of none is asked of it
        self.has_rsample = base.has_rsample
        super().__init__(base.batch_shape, base.event_shape, validate_args=validate_args)

    @property
    def variables(self):
        """Names and kinds of the columns, those of the base."""
        return self.base.variables

    @constraints.dependent_property(event_dim=1)
    def support(self):  # pyright: ignore[reportIncompatibleMethodOverride] (as those of torch)
        return self.base.support

    def expand(self, batch_shape, _instance=None):
        return self._over(self.base.expand(batch_shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(steps={len(self.flow.transforms)}, base={self.base})"

    # ---- densities and samples

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the entries that are not NaN; a row without any scores exactly 0. ``(*, D) -> (*)``

        Raises:
            ValueError: latents of a row that are neither all given nor all missing.
        """
        moved, log_volume = self._moved(value)
        return self.base.log_prob(moved) + log_volume

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Exact draws. ``-> (*sample_shape, *batch_shape, D)``"""
        return self._pushed(self.base.sample(sample_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws with pathwise gradients to the base, as it gives them, and to the steps.

        Raises:
            NotImplementedError: a visible variable is discrete.
        """
        return self._pushed(self.base.rsample(sample_shape))

    @property
    def mean(self) -> Tensor:
        """Not implemented, since the mean of g^{-1}(z_0) has no closed form."""
        return self._no_moment("mean")

    @property
    def variance(self) -> Tensor:
        """Not implemented, since the variance of g^{-1}(z_0) has no closed form."""
        return self._no_moment("variance")

    def to_generation(self, z: Tensor) -> Tensor:
        """z_0 = g(z), ``(*, d)``; another size is a `ValueError`."""
        return self.flow.to_generation(z)

    def to_representation(self, z0: Tensor) -> Tensor:
        """z = g^{-1}(z_0), ``(*, d)``; another size, or a z that g does not map back to z_0, is a `ValueError`."""
        return self.flow.to_representation(z0)

    # ---- queries

    def marginal(self, names: str | int | Iterable[str | int]) -> Self | ChainLaw:
        """The law of some of the variables: that of the base where no latents are among them.

        Raises:
            ValueError: some of the latents, or as `ChainLaw.marginal`.
        """
        wanted = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
        law = self.base.marginal(wanted)
        columns = [column for name in wanted for column in self._latents_of(name)]
        if 0 < len(columns) < self.latent_dim:
            listed = ", ".join(f"z[{column}]" for column in sorted(columns))
            raise ValueError(f"names: expected all latents, the block z, or none, got {listed}: {WHY}")
        return self._over(law) if columns else law

    def condition(self, **given: Tensor | float) -> Self | ChainLaw:
        """The law of the other variables given these: that of the base where z is given.

        Args:
            given: as of `ChainLaw.condition`; a row of z that is all NaN is not observed.

        Raises:
            ValueError: a row of z with some NaN, or as `ChainLaw.condition`.
        """
        for name in given:
            if name != "z" and self._latents_of(name):
                raise ValueError(f"{name}: expected latents by the name z, got a block that has some of them")
        if "z" not in given:
            return self._over(self.base.condition(**given))
        return self.base.condition(**{**given, "z": self._generation(given["z"])})

    def sharing(self) -> Self:
        """The same law for one step, as `ChainLaw.sharing`: latents are moved once, too."""
        return self._over(self.base.sharing())

    def weigh(self, log_weights: Tensor) -> Self:
        """Soft evidence on the states of attributes and of the base's latents, as `ChainLaw.weigh` takes it."""
        return self._over(self.base.weigh(log_weights))

    def impute(self, value: Tensor, sample_shape: Sequence[int] = ()) -> Tensor:
        """``value`` with its NaNs filled by a joint draw from p(missing given observed); the rest bit for bit.

        Shapes:
            ``(*, D) -> (*sample_shape, *, D)`` where ``*`` is broadcast with the batch shape

        Raises:
            ValueError: latents of a row that are neither all given nor all missing.
        """
        with torch.no_grad():
            draws = self.base.impute(self._moved(value)[0], sample_shape)
            value = as_floats(value, draws.dtype)
            given = ~value[..., : self.latent_dim].isnan().all(-1, keepdim=True)
            if not holds(given.all()):
                z0 = draws[..., : self.latent_dim].masked_fill(given, 0.0)  # these are not drawn
                draws = self._pushed(torch.cat([z0, draws[..., self.latent_dim :]], -1))
        return torch.where(value.isnan(), draws, value)

    def state_probs(self, value: Tensor) -> Tensor:
        """p(s_k given the observed entries), for every variable of the base at once, as `ChainLaw.state_probs`."""
        return self.base.state_probs(self._moved(value)[0])

    def most_probable(self, value: Tensor) -> Tensor:
        """NaNs of attributes filled, each by itself: the most probable state, or the posterior mean.

        Shapes:
            ``(*, D) -> (*, D)``

        Raises:
            ValueError: missing latents: their posterior mean has no closed form.
        """
        moved, _ = self._moved(value)
        z = value[..., : self.latent_dim]
        if gaps := int(z.isnan().any(-1).sum()) if holds(z.isnan().any()) else 0:
            raise ValueError(
                f"value: expected latents that are given, got {gaps} rows where they are missing: the posterior mean "
                "of what a flow has moved has no closed form; impute draws them, marginal(attributes) leaves them out"
            )
        best = self.base.most_probable(moved)
        value = as_floats(value, best.dtype)
        z = value[..., : self.latent_dim].expand(*best.shape[:-1], -1)
        return torch.where(value.isnan(), torch.cat([z, best[..., self.latent_dim :]], -1), value)

    def categorical(self, name: str) -> dist.Categorical:
        """The law of one discrete variable as a Pyro Categorical, as `ChainLaw.categorical`."""
        return self.base.categorical(name)

    # ---- between z and z_0

    def _over(self, base: ChainLaw) -> Self:
        """The law of the same flow over another law of z_0 and attributes, made of this one's."""
        new = copy.copy(self)
        new.base, new._batch_shape, new._event_shape = base, base.batch_shape, base.event_shape
        switched_off = self.base.has_rsample and not self.has_rsample
        new.has_rsample = base.has_rsample and not switched_off
        return new

    def _latents_of(self, name: str | int) -> tuple[int, ...]:
        """The columns of latents that a name stands for, or the index of a column."""
        columns = self.variables.columns(name) if isinstance(name, str) else (name % self.event_shape[0],)
        return tuple(column for column in columns if column < self.latent_dim)

    def _moved(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """A value, checked, as the base knows it, and the log volume of the move: ``(*, D) -> (*, D), (*)``"""
        self.base._validate_sample(value)
        value = full_precision(as_floats(value, torch.float32))
        if value.shape[-1] == self.latent_dim:
            return self._mapped(value)
        z0, log_volume = self._mapped(value[..., : self.latent_dim])
        return torch.cat([z0, value[..., self.latent_dim :]], -1), log_volume

    def _mapped(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """g(z) and log abs det dg/dz: NaN and 0 where the latents of a row are missing. ``(*, d) -> (*, d), (*)``"""
        (moved,) = self.base._evidence.walks.once("moved", [(known_as("z", z),)], lambda _: [self._map(z)])
        return moved

    def _map(self, z: Tensor) -> tuple[Tensor, Tensor]:
        nan = z.isnan()
        missing = nan.all(-1, keepdim=True)
        if self._validate_args:
            _check_whole(nan, missing)
        z0, log_volume = self.flow.mapped(z.masked_fill(missing, 0.0))
        # Nothing else may look missing: what came out of no number, where nobody checks, has no density.
        z0 = z0.masked_fill(z0.isnan(), torch.inf).masked_fill(missing, torch.nan)
        return z0, log_volume.masked_fill(missing.squeeze(-1), 0.0)

    def _generation(self, z: Any) -> Tensor:
        """g(z) of z that somebody gives."""
        try:
            z = as_floats(as_tensor(z, self.base._chain.device), torch.float32)
        except (RuntimeError, TypeError, ValueError):
            raise ValueError(f"z: expected a tensor, got {z!r}") from None
        if z.shape[-1:] != (self.latent_dim,):
            raise ValueError(f"z: expected a last dimension of {self.latent_dim}, got shape {tuple(z.shape)}")
        if self._validate_args and holds(z.isinf().any()):
            raise ValueError("z: expected finite values or NaN, got infinite ones")
        return self._mapped(full_precision(z))[0]

    def _pushed(self, draws: Tensor) -> Tensor:
        """Draws of the base with z in the place of z_0."""
        z = self.flow._pushed(draws[..., : self.latent_dim])
        return torch.cat([z, draws[..., self.latent_dim :]], -1)

    def _no_moment(self, name: str) -> Tensor:
        raise NotImplementedError(
            f"{name}: that of latents which a flow has moved has no closed form; draws estimate it, and "
            f"marginal(attributes).{name} is exact"
        )


def _check_whole(nan: Tensor, missing: Tensor) -> None:
    """`ValueError` that names the first row whose latents are given in part."""
    partly = nan.any(-1) & ~missing.squeeze(-1)
    if holds(partly.any()):
        row = tuple(partly.nonzero()[0].tolist())
        absent = ", ".join(f"z[{column}]" for column in nan[row].nonzero().flatten().tolist())
        raise ValueError(
            f"z: expected all latents of a row or none of them (NaN), got {int(partly.sum())} rows with some, the "
            f"first at index {row} without {absent}: {WHY}"
        )
