"""The mixture of an encoder's own posteriors at learned inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_priors import distributions
from pyro_priors.modules.ownership import own
from pyro_priors.modules.planes import plane_of_mixture
from pyro_priors.modules.plugins import PriorKnobs, Setting, check_counts
from pyro_priors.modules.prior import Prior

Encoder = Callable[[Tensor], dist.TorchDistribution]


class VampPrior(Prior):
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

    if TYPE_CHECKING:
        __call__: Callable[[Encoder], dist.TorchDistribution]
    takes_encoder = True
    pseudo_inputs: Tensor

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

    def forward(self, encoder: Encoder) -> dist.TorchDistribution:
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

    @torch.no_grad()
    def start_at(self, images: Any, labels: Tensor | None = None) -> None:
        """Start the pseudo-inputs at some of the images, at random.

        Args:
            images: a tensor ``(n, *x)``, or a data set with `__getitems__`.
            labels: of the images, as other priors may want them; not used.

        Raises:
            ValueError: fewer images than pseudo-inputs.
        """
        count = len(self.pseudo_inputs)
        if count > len(images):
            raise ValueError(f"pseudo_inputs: expected at most {len(images)}, one a picture, got {count}")
        chosen = torch.randperm(len(images))[:count]
        self.pseudo_inputs.copy_(images[chosen] if isinstance(images, Tensor) else images.__getitems__(chosen))

    def schema(self) -> dict[str, Any]:
        bounds = None if self.bounds is None else list(self.bounds)
        return {"law": "VampPrior", "pseudo_inputs": list(self.pseudo_inputs.shape), "bounds": bounds}

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        return plane_of_mixture(law, dims)

    def extra_repr(self) -> str:
        return f"pseudo_inputs={tuple(self.pseudo_inputs.shape)}, bounds={self.bounds}, fixed={self.fixed}"


@dataclass(frozen=True)
class VampPriorKnobs(PriorKnobs):
    """Those of the VampPrior."""

    pseudo_inputs: int = 500  # Of the VampPrior, which start at training pictures.
    fixed: bool = False  # Leave them there.

    title: ClassVar[str] = "VampPrior"
    takes_encoder: ClassVar[bool] = True

    def __post_init__(self):
        check_counts(self, "pseudo_inputs")

    def build(self, setting: Setting) -> VampPrior:
        if setting.image_shape is None:
            raise ValueError("image_shape: expected (channels, height, width) for a VampPrior, got None")
        inputs = torch.rand(self.pseudo_inputs, *setting.image_shape)
        return VampPrior(inputs, setting.bounds, fixed=self.fixed)
