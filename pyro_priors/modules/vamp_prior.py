"""The mixture of an encoder's own posteriors at learned inputs."""

from collections.abc import Callable

import pyro.distributions as dist
from torch import Tensor, nn

from pyro_priors import distributions
from pyro_priors.modules.ownership import own


class VampPrior(nn.Module):
    """Variational mixture of posteriors: p(z) = 1/K sum_k q(z | u_k) with learned pseudo-inputs u_k.

    It has no parameters of the latent space; it reads them off the model's encoder, which it therefore trains too.
    Cost: K passes of the encoder a call and O(K d) a row.

    Shapes:
        called with an encoder, `(K, *x)` to a distribution with batch ``(K,)`` and event ``(d,)``, it returns the
        mixture, batch ``()`` and event ``(d,)``.

    Note:
        Pseudo-inputs are stored as they are given: start them at data, or at noise around its mean. With `bounds` the
        encoder sees them clamped to the range of the data, as the authors do (a hard tanh); outside it they get no
        gradient.

    References:
        Tomczak, Welling, "VAE with a VampPrior", 2018, eq. 9, arXiv:1705.07120.

    Args:
        pseudo_inputs: ``(K, *x)``, where they start; x is one input of the encoder.
        bounds: (low, high) of what the encoder is shown, or None.
        fixed: keep them where they start, as a buffer.

    Raises:
        ValueError: no pseudo-inputs, values that are no floats or not finite, bounds the wrong way round; on a call, an
            encoder whose distribution has other shapes.

    Example:
        >>> import torch
        >>> prior = VampPrior(torch.rand(5, 8))
        >>> encoder = lambda x: dist.Normal(x[:, :3], 1.0).to_event(1)
        >>> prior(encoder).sample((2,)).shape
        torch.Size([2, 3])
    """

    takes_encoder = True

    def __init__(self, pseudo_inputs: Tensor, bounds: tuple[float, float] | None = None, *, fixed: bool = False):
        super().__init__()
        if pseudo_inputs.dim() < 2 or pseudo_inputs.numel() == 0:
            raise ValueError(f"pseudo_inputs: expected shape (K, *x) with K >= 1, got {tuple(pseudo_inputs.shape)}")
        if not pseudo_inputs.is_floating_point():
            raise ValueError(f"pseudo_inputs: expected floats, got {pseudo_inputs.dtype}")
        if not pseudo_inputs.isfinite().all():
            raise ValueError("pseudo_inputs: expected finite values, got NaN or infinity")
        if bounds is not None and not bounds[0] < bounds[1]:
            raise ValueError(f"bounds: expected (low, high) with low < high, got {bounds}")
        self.bounds, self.fixed = bounds, fixed
        own(self, "pseudo_inputs", pseudo_inputs.detach().clone(), fixed)

    def forward(self, encoder: Callable[[Tensor], dist.TorchDistribution]) -> dist.TorchDistribution:
        shown = self.pseudo_inputs if self.bounds is None else self.pseudo_inputs.clamp(*self.bounds)
        components = encoder(shown)
        if components.batch_shape != shown.shape[:1] or len(components.event_shape) != 1:
            raise ValueError(
                f"encoder: expected a distribution with batch shape ({len(shown)},) and event shape (d,), got "
                f"{tuple(components.batch_shape)} and {tuple(components.event_shape)}"
            )
        equal, base = shown.new_zeros(len(shown)), getattr(components, "base_dist", None)
        if isinstance(base, dist.Normal):
            return distributions.GaussianMixture(equal, base.loc, base.scale)
        return dist.MixtureSameFamily(dist.Categorical(logits=equal), components)

    def extra_repr(self) -> str:
        return f"{tuple(self.pseudo_inputs.shape)}, bounds={self.bounds}, fixed={self.fixed}"
