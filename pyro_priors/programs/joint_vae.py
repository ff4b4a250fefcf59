"""A variational autoencoder over images and attributes, with a joint prior over latents and attributes."""

from typing import Any

import pyro
import torch
from torch import Tensor, nn

from pyro_priors.distributions import ChainLaw
from pyro_priors.programs.attribute_vae import AttributeVAE
from pyro_priors.programs.likelihoods import Likelihood


class JointVAE(AttributeVAE):
    """y, z ~ prior(), x ~ likelihood(decoder(z)); the guide is z ~ encoder(x). VAE-TTLP, and conditional VAE-TRIP.

    The program samples y ~ p(y) first, then z ~ p(z given y): what is said about y moves what follows, so that
    `poutine.condition(model, {"y": y})` generates given any subset of the attributes. A NaN in y is a missing entry,
    summed out exactly. The bound is that of TTLP eq. 6, the same number as TRIP eq. 14:

        E_q log p(x given z) - KL(q(z given x), p(z given y_ob)) + log p(y_ob)

    Note:
        The decoder sees z alone and the encoder x alone: all that y says of x goes through z (TTLP section 3.2).

    References:
        Kuznetsov et al., "Subset-Conditioned Generation Using Variational Autoencoder With A Learnable Tensor-Train
        Induced Prior", 2018, eq. 5-8; Kuznetsov et al., arXiv:1910.13148, section 4.

    Args:
        encoder, decoder, likelihood, name: as in `VAE`.
        prior: a module such as `pyro_priors.TTLP`: `prior()` is a tensor ring with blocks "z" and "y".
        label_weight: in training mode, add so many times log p(y_ob given z) (site "y_given_z"), as Kingma et al.
            (arXiv:1406.5298, eq. 9) do: codes then tell the attributes better, and the loss is no bound any more.

    Attributes:
        validates: whether that term counts in evaluation mode too, as for the validation of a training.

    Raises:
        ValueError: the parts do not fit together, the prior has no attributes, or label_weight is negative.

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
        >>> prior = pp.TTLP(4, {"digit": pp.Discrete(10)}, components=3, rank=2)
        >>> vae = JointVAE(GatedMLPEncoder((1, 8, 8), 4), GatedMLPDecoder(4, (1, 8, 8)), prior)
        >>> vae.generate(3, digit=torch.tensor([3.0, 7.0, torch.nan])).shape
        torch.Size([3, 1, 8, 8])
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module,
        likelihood: Likelihood | nn.Module = "bernoulli",
        name: str | None = None,
        *,
        label_weight: float = 0.0,
    ) -> None:
        if not label_weight >= 0:
            raise ValueError(f"label_weight: expected 0 or more, got {label_weight!r}")
        super().__init__(encoder, decoder, prior, likelihood, name)
        self.label_weight = label_weight
        self.validates = False

    def _check_parts(self, encoder: Any, decoder: Any, prior: Any) -> None:
        if not getattr(prior, "attributes", None):
            raise ValueError(f"prior: expected one with attributes, such as TTLP, got {prior}")
        super()._check_parts(encoder, decoder, prior)

    def model(self, x: Tensor | None = None, y: Tensor | None = None, n: int | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """p(y) p(z given y) p(x given z). Sites "y", "z", "x" and, under `no_grad`, "y_imputed" in the plate "data".

        Args:
            x: images, observed; without them images are drawn.
            y: attributes `(batch, n_attributes)`, NaN = missing; None draws them, for generation only.
            n: how many images, where neither x nor y is given.
        """
        pyro.module(self.name, self)
        joint = self.prior()
        if hasattr(joint, "sharing"):  # its sites ask for densities of the same y and z
            joint = joint.sharing()
        with pyro.plate("data", self._rows(x, y, n)):
            y_seen = pyro.sample("y", joint.marginal("y"), obs=y)
            z = pyro.sample("z", joint.condition(y=y_seen).marginal("z"))
            if self.label_weight and (self.training or self.validates) and x is not None and y is not None:
                label_score = joint.condition(z=z).marginal("y").log_prob(y)
                pyro.factor("y_given_z", self.label_weight * label_score)
            if not torch.is_grad_enabled():  # wanted by Predictive; a training step has no use for it
                missing = y_seen.isnan().any()  # as in an evaluation on complete labels, where nothing is to be imputed
                imputed = joint.condition(z=z).marginal("y").impute(y_seen) if missing else y_seen
                pyro.deterministic("y_imputed", imputed, event_dim=1)
            return pyro.sample("x", self.decode(z), obs=x)

    def guide(self, x: Tensor | None = None, y: Tensor | None = None, n: int | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """q(z given x). Takes the arguments of `model`, and needs x."""
        return super().guide(x, n)

    @torch.no_grad()
    def generate(self, n: int, /, **given: Tensor | float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Means of p(x given z) for n draws of z given attributes: `(n, C, H, W)`.

        Args:
            n: how many images.
            given: attributes by name, each a number or `(n,)`, or the block `y` as `(n_attributes,)` or
                `(n, n_attributes)`; NaN = not given.
        """
        self._check_given(given)
        law = self.prior().condition(**given).marginal("z")
        if law.batch_shape not in ((), (1,), (self._batch_size(None, n),)):
            raise ValueError(f"given: expected single values or {n} of each, got batch shape {tuple(law.batch_shape)}")
        return self.decode(law.expand((n,)).sample()).mean

    def attribute_law(self, x: Tensor, draws: int = 1) -> ChainLaw:
        """p(y given z) for draws of z ~ q(z given x): batch `(draws, batch)`, event `(n_attributes,)`."""
        return self.prior().condition(z=self.encode(x).sample((draws,))).marginal("y")
