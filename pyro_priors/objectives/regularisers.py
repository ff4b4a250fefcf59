"""What the bounds of regularised autoencoders share, and that of beta-VAE-B.

(beta-VAE-H is `ELBO(kl_weight=beta)`.) Each is the `ELBO` with one more term, which acts on the representation z,
under any prior: a flow, a mixture or a tensor ring enters through log p(z) and its draws alone (dpVAE section 4.3).
Without their regularisation all are the ELBO. Their terms are no means over examples, and each says what follows with
several devices.
"""

from typing import NamedTuple

from torch import Tensor

from pyro_priors.objectives.bounds import ELBO, ELBOTerms
from pyro_priors.objectives.traces import LogTerms


class RegularisedTerms(NamedTuple):
    """Means over the batch, as `ELBOTerms`, and the regularising quantity before its weight."""

    elbo: Tensor
    reconstruction: Tensor
    kl: Tensor
    regulariser: Tensor


def with_regulariser(parts: ELBOTerms, regulariser: Tensor) -> RegularisedTerms:
    """The terms of the ELBO and the regularising quantity."""
    return RegularisedTerms(*parts, regulariser.detach())


def check_weight(name: str, weight: float) -> float:
    if not weight >= 0:
        raise ValueError(f"{name}: expected a number of at least 0, got {weight}")
    return weight


def latents_of(z: Tensor) -> Tensor:
    """Draws of the latents of a batch, `(batch, d)`."""
    if z.dim() != 2:
        raise ValueError(f"guide: expected codes of shape (batch, d), got {tuple(z.shape)}")
    return z


class CapacityELBO(ELBO):
    """beta-VAE-B: ``reconstruction - gamma |KL - capacity|``, KL the mean over the batch.

    `capacity` is an ordinary attribute, in nats; a schedule raises it from 0.

    Note:
        With several devices KL is the mean over each device's part of the batch. While the parts lie on both sides of
        the capacity, the distance is larger than that of their mean, and its gradients cancel in part.

    References:
        Burgess et al., "Understanding disentangling in beta-VAE", 2018, eq. 8, arXiv:1804.03599.

    Args:
        gamma: weight of the distance from the capacity.
        capacity: nats that z may tell of x.
        latent, kwargs: as for `ELBO`.

    Raises:
        ValueError: a negative number.
    """

    def __init__(self, gamma: float, capacity: float = 0.0, latent: str = "z", **kwargs) -> None:
        super().__init__(latent, **kwargs)
        self.gamma, self.capacity = check_weight("gamma", gamma), check_weight("capacity", capacity)

    def loss(self, reconstruction: Tensor, kl: Tensor, parts: ELBOTerms, terms: LogTerms):
        distance = (kl - self.capacity).abs()
        return self.gamma * distance - reconstruction, with_regulariser(parts, distance)
