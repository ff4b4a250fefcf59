"""The encoder of CP-VAE: first the categories, then the latents given them."""

import math
from typing import TYPE_CHECKING, Literal

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_priors.checks import check_choice, check_count
from pyro_priors.networks.autoencoders import GatedLinear, GaussianHead, check_shape, concatenated, gated_layers, glorot
from pyro_priors.ops import full_precision
from pyro_priors.recorded import Recorded


class GatedMLPCategoricalEncoder(Recorded):
    """Gated dense layers from an image to q(c given x), and from there to q(z given x, c).

    A further gated layer reads the last hidden layer beside what is known of c: its probabilities, so that
    q(z given x, c) = q(z given x), as in the paper, or c itself.

    References:
        CP-VAE: Lavda, Gregorova, Kalousis, 2019, section 3.2 and Figure 2, arXiv:1911.10885.

    Args:
        image_shape: (channels, height, width).
        categories: number K of categories.
        latent_dim: number of latents.
        hidden: width of each hidden layer.
        reads: what the latents' layer reads: ``"probabilities"`` of c (the paper) or ``"category"``.

    Raises:
        ValueError: a size below 1, another word for `reads`.

    Example:
        >>> encoder = GatedMLPCategoricalEncoder((1, 8, 8), categories=10, latent_dim=5)
        >>> categories, hidden = encoder(torch.rand(3, 1, 8, 8))
        >>> encoder.latents(hidden, categories, categories.sample()).event_shape
        torch.Size([5])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        categories: int,
        latent_dim: int,
        hidden: tuple[int, ...] = (300, 300),
        reads: Literal["probabilities", "category"] = "probabilities",
    ):
        super().__init__()
        check_choice("reads", reads, ("probabilities", "category"))
        self.image_shape, self.latent_dim = check_shape(image_shape), check_count("latent_dim", latent_dim)
        self.num_categories, self.reads = check_count("categories", categories), reads
        self.body, width = gated_layers(math.prod(self.image_shape), hidden)
        self.logits = glorot(nn.Linear(width, categories))
        self.joint = GatedLinear(width + categories, width)
        self.head = GaussianHead(width, latent_dim)

    def forward(self, x: Tensor) -> tuple[dist.Categorical, Tensor]:
        """q(c given x) with batch shape ``(batch,)``, and the last hidden layer ``(batch, width)``."""
        hidden = self.body(x.flatten(start_dim=-3))
        return dist.Categorical(logits=full_precision(self.logits(hidden))), hidden

    if TYPE_CHECKING:
        __call__ = forward

    @torch.enable_grad()
    def fit_categories(self, hidden: Tensor, probs: Tensor, steps: int = 50) -> None:
        """Logistic regression of categories ``(n, K)`` on the last hidden layer ``(n, width)``, in place, from zero."""
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)
        optimizer = torch.optim.LBFGS(self.logits.parameters(), max_iter=steps, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            # A little shrinkage: clusters that the features can tell for certain would send the weights to infinity.
            value = nn.functional.cross_entropy(self.logits(hidden), probs) + 1e-4 * self.logits.weight.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
        optimizer.zero_grad()

    def latents(self, hidden: Tensor, categories: dist.Categorical, c: Tensor) -> dist.TorchDistribution:
        """q(z given x, c): batch shape that of c broadcast with ``(batch,)``, event shape ``(latent_dim,)``."""
        known = categories.probs if self.reads == "probabilities" else one_hot(c, self.num_categories, hidden.dtype)
        return self.head(self.joint(concatenated(hidden, known)))


def one_hot(c: Tensor, categories: int, dtype: torch.dtype) -> Tensor:
    """Integers ``(*)`` as rows ``(*, K)``; what is a (relaxed) one-hot already stays."""
    return c if c.is_floating_point() else nn.functional.one_hot(c, categories).to(dtype)
