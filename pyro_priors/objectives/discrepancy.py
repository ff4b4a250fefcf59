"""InfoVAE's bound, and the maximum mean discrepancy in it."""

from typing import Literal, get_args

from torch import Tensor

from pyro_priors.checks import check_choice
from pyro_priors.objectives.bounds import ELBO, ELBOTerms
from pyro_priors.objectives.regularisers import latents_of, with_regulariser
from pyro_priors.objectives.traces import LogTerms

Kernel = Literal["rbf", "imq"]


class InfoELBO(ELBO):
    """InfoVAE: reconstruction - (1 - alpha) KL - (alpha + lambda - 1) MMD(q(z), p(z)).

    The squared maximum mean discrepancy is estimated without bias from the codes of the batch and as many draws of the
    prior, with gradients to it where it has them (a flow through its inverse). alpha = 0 and lambda = 1 give the ELBO.

    Note:
        With several devices it is the mean of the estimates of each device's part of the batch: without bias too, of
        more variance.

    References:
        Zhao, Song, Ermon, "InfoVAE", 2019, eq. 6, arXiv:1706.02262; Gretton et al., "A kernel two-sample test", 2012.

    Args:
        alpha, lambda_: the weights.
        kernel: ``"rbf"``, exp(-r^2 / (2 width)), or ``"imq"``, width / (width + r^2), with width d as a rule.
        width: squared width of the kernel; None: the number of latents.
        latent, kwargs: as for `ELBO`.

    Raises:
        ValueError: an unknown kernel, a width that is not positive, alpha + lambda < 1; on a call, a batch of one.
    """

    least_batch = 2  # of which a discrepancy can be estimated

    def __init__(
        self,
        alpha: float = 0.0,
        lambda_: float = 1000.0,
        kernel: Kernel = "rbf",
        width: float | None = None,
        latent: str = "z",
        **kwargs,
    ) -> None:
        super().__init__(latent, **kwargs)
        check_choice("kernel", kernel, get_args(Kernel))
        _check_width(width)
        if not alpha + lambda_ >= 1:
            raise ValueError(f"alpha, lambda_: expected a sum of at least 1, got {alpha} and {lambda_}")
        self.alpha, self.lambda_, self.width = alpha, lambda_, width
        self.kernel: Kernel = kernel

    def loss(self, reconstruction: Tensor, kl: Tensor, parts: ELBOTerms, terms: LogTerms):
        z, prior = latents_of(terms.site.value), terms.site.prior
        if len(z) < self.least_batch:
            raise ValueError(f"batch: expected at least two examples for the discrepancy of their codes, got {len(z)}")
        # The plate has expanded the prior to the batch.
        draws = prior.rsample() if prior.has_rsample else prior.sample()
        discrepancy = squared_mmd(z, draws.expand_as(z), self.kernel, self.width)
        loss = (1 - self.alpha) * kl - reconstruction + (self.alpha + self.lambda_ - 1) * discrepancy
        return loss, with_regulariser(parts, discrepancy)


def squared_mmd(a: Tensor, b: Tensor, kernel: Kernel = "rbf", width: float | None = None) -> Tensor:
    """The squared maximum mean discrepancy of two sets of draws, `(n, d)` and `(m, d)`, without bias: a scalar.

    Args:
        a, b: draws of the two laws.
        kernel, width: as for `InfoELBO`.

    Raises:
        ValueError: shapes that do not fit, fewer than two rows, an unknown kernel, a width that is not positive.
    """
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            "a, b: expected shapes (n, d) and (m, d), two draws of each law or more, got "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    check_choice("kernel", kernel, get_args(Kernel))
    _check_width(width)
    width = a.shape[-1] if width is None else width

    def mean(x: Tensor, y: Tensor, same: bool) -> Tensor:
        squares = (x.unsqueeze(1) - y).square().sum(-1)
        similar = (-squares / (2 * width)).exp() if kernel == "rbf" else width / (width + squares)
        return (similar.sum() - len(x)) / (len(x) * (len(x) - 1)) if same else similar.mean()

    return mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)


def _check_width(width: float | None) -> None:
    if width is not None and not width > 0:
        raise ValueError(f"width: expected a positive number or None, got {width}")
