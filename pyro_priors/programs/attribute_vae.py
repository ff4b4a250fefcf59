"""What variational autoencoders over images and attributes share."""

from torch import Tensor

from pyro_priors.distributions import ChainLaw
from pyro_priors.programs.program import WithAttributes
from pyro_priors.programs.vae import VAE


class AttributeVAE(WithAttributes, VAE):
    """Base of `JointVAE`, `CVAE` and `SemiSupervisedVAE`: programs of images x and attributes y, NaN = missing.

    Besides `model(x, y, n)` and `guide(x, y, n)` each answers `generate(n, **given)` and `attribute_law(x, draws)`,
    from which `queries.generate`, `queries.impute` and `queries.classify` are made.
    """

    def attribute_law(self, x: Tensor, draws: int = 1) -> ChainLaw:
        """p(y given x) as `draws` laws whose mean it is: batch `(draws, batch)`, event `(n_attributes,)`."""
        raise NotImplementedError
