"""The codes that a prior is set from: draws of q(z given x), or q itself."""

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from pyro_priors.distributions.kinds import width_of
from pyro_priors.ops import full_precision

NARROW = 0.3  # of the prior's standard deviation: codes of the prior's own scale would cost 3.8 nats a latent
FEW = 20  # rows of which a standard deviation says little
REACH = 10  # distances between the quantiles at 5 and 95 %: 33 standard deviations of a normal
OUTLIERS = 0.002  # the most rows that can be outliers, beside two


def check_codes(z: Any, latent_dim: int, name: str = "z") -> Tensor:
    """Encoded data as finite floats ``(n, latent_dim)`` with n >= 1; of a law with batch ``(n,)`` one draw of each."""
    if isinstance(z, Distribution):
        check_laws(z, latent_dim, name)
        with torch.no_grad():
            z = z.sample()
    if not isinstance(z, Tensor) or z.dim() != 2 or z.shape[1] != latent_dim or len(z) == 0:
        got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        raise ValueError(f"{name}: expected shape (n, {latent_dim}) with n >= 1, got {got}")
    bad = ~z.isfinite().all(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ValueError(
            f"{name}: expected finite values, got NaN or infinity in {int(bad.sum())} of {len(z)} rows, the first of "
            f"them row {row}"
        )
    return full_precision(z.detach()) if z.is_floating_point() else z.to(torch.get_default_dtype())


def codes_and_attributes(prior: Any, z: Any, y: Tensor | None) -> tuple[Any, Tensor | None]:
    """Both of them, where one alone was given of a law that has only such columns.

    Raises:
        ValueError: neither, or z is missing where there are latents.
    """
    attributes = width_of(getattr(prior, "attributes", {}).values())
    rows_alone = isinstance(z, Tensor) and y is None and prior.latent_dim == 0 and z.dim() == 2
    if rows_alone and z.shape[1] == attributes:
        y, z = z, None
    if z is None and isinstance(y, Tensor) and prior.latent_dim == 0:
        return torch.empty(
            len(y),
            0,
            dtype=full_precision(y.new_empty(0)).dtype if y.is_floating_point() else torch.get_default_dtype(),
            device=y.device,
        ), y
    if z is None:
        wanted = f"z: expected codes of {prior.latent_dim} latents" if prior.latent_dim else "y: expected rows"
        raise ValueError(f"{wanted}, got None")
    return z, y


def check_laws(z: Distribution, latent_dim: int, name: str = "z") -> None:
    """`ValueError` unless the batch shape is ``(n,)`` with n >= 1 and the event shape ``(latent_dim,)``."""
    if z.event_shape != (latent_dim,) or len(z.batch_shape) != 1 or z.batch_shape[0] == 0:
        got = f"{tuple(z.batch_shape)} and {tuple(z.event_shape)}"
        raise ValueError(f"{name}: expected laws with batch shape (n,) and event shape ({latent_dim},), got {got}")


def means_and_scales(z: Any) -> tuple[Tensor, Tensor] | None:
    """Those of independent normals; None where z is something else."""
    base = z.base_dist if isinstance(z, Independent) else None
    return (base.loc.detach(), base.scale.detach()) if isinstance(base, Normal) else None


def warn_if_narrow(codes: Tensor, variance: Tensor) -> None:
    """Warn of latents whose codes hardly vary where the prior does: such are means of q(z given x) without its noise.

    A latent that the encoder does not use has draws as wide as the prior and means that are nearly equal. A prior that
    is set from the means believes that it never varies, and pays for every draw.

    Shapes:
        ``codes (n, d)``, the prior's ``variance (d,)``
    """
    if len(codes) < FEW:
        return
    share = codes.var(0, correction=0).sqrt() / variance.to(codes).sqrt()
    narrow = share < NARROW  # False where the prior has no variance
    if narrow.any():
        warnings.warn(
            "z: expected draws of q(z given x), or q(z given x) itself, got codes that vary far less than the prior in "
            f"{int(narrow.sum())} of {len(narrow)} latents (standard deviation {float(share[narrow].median()):.2g} of "
            "the prior's): means of q(z given x) lack its noise, and a prior set from them is too narrow",
            stacklevel=4,
        )


def inliers(value: Tensor) -> Tensor:
    """Which rows lie near the others in every column, ``(n, k) -> (n,)``; NaN is near.

    A row further from the middle than no law of the others would put it makes the scale of all of them. Where more than
    a few rows lie so, they are no outliers.
    """
    everything = torch.ones(len(value), dtype=torch.bool, device=value.device)
    if len(value) < FEW or not value.shape[1]:
        return everything
    ordered, seen = value.sort(0).values, (~value.isnan()).sum(0)  # NaN last
    low, high = (ordered.gather(0, ((seen - 1).clamp(min=0) * q).long()[None])[0] for q in (0.05, 0.95))
    reach = REACH * (high - low)
    far = (value < low - reach) | (value > high + reach)
    near = ~(far & (reach > 0)).any(1)
    return near if (~near).sum() <= max(2, OUTLIERS * len(value)) else everything
