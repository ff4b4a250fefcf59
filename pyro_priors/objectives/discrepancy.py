"""InfoVAE's bound: codes as a whole are held to the prior, by a divergence of one's choice."""

from typing import Literal, get_args

from torch import Tensor, nn

from pyro_priors.checks import check_choice
from pyro_priors.objectives.adversarial import frozen, numbers
from pyro_priors.objectives.bounds import ELBO, ELBOTerms
from pyro_priors.objectives.kernels import Kernel, check_kernel, squared_mmd, squared_stein
from pyro_priors.objectives.regularisers import latents_of, with_regulariser
from pyro_priors.objectives.traces import LatentSite, LogTerms

Divergence = Literal["mmd", "stein", "adversarial"]


class InfoELBO(ELBO):
    """InfoVAE: reconstruction - (1 - alpha) KL - (alpha + lambda - 1) D(q(z), p(z)).

    D is estimated from the codes of the batch, with gradients to the prior too: "mmd", the squared maximum mean
    discrepancy from as many draws of the prior (which has gradients from its `rsample` alone, a flow through its
    inverse); "stein", the squared kernelised Stein discrepancy from its score (`squared_stein`), so that draws are not
    needed; "adversarial", KL(q(z), p(z)) itself, the log density ratio read off a critic that `CodeCriticLoss` trains
    beside it. alpha = 0 and lambda = 1 give the ELBO.

    Note:
        With several devices it is the mean of the estimates of each device's part of the batch: of more variance, and
        the first two without bias too. With a critic, which changes, losses of different epochs do not compare.

    References:
        Zhao, Song, Ermon, "InfoVAE", 2019, eq. 6 and section 3.2, arXiv:1706.02262; Gretton et al., "A kernel
        two-sample test", 2012; Liu, Lee, Jordan, 2016, arXiv:1602.03253.

    Args:
        alpha, lambda_: the weights.
        kernel: of the first two: ``"rbf"``, exp(-r^2 / (2 width)), or ``"imq"``, width / (width + r^2).
        width: squared width of the kernel; None: the number of latents.
        latent, kwargs: as for `ELBO`.
        divergence: which one.
        critic: for "adversarial", codes `(n, d)` to one number each, log p(z) - log q(z) once it is trained.

    Raises:
        ValueError: an unknown divergence or kernel, a width that is not positive, alpha + lambda < 1, a critic where
            none is read or none where one is; on a call, a batch of one.
    """

    least_batch = 2  # of which a discrepancy can be estimated

    def __init__(
        self,
        alpha: float = 0.0,
        lambda_: float = 1000.0,
        kernel: Kernel = "rbf",
        width: float | None = None,
        latent: str = "z",
        *,
        divergence: Divergence = "mmd",
        critic: nn.Module | None = None,
        **kwargs,
    ) -> None:
        super().__init__(latent, **kwargs)
        check_choice("divergence", divergence, get_args(Divergence))
        check_kernel(kernel, width)
        if not alpha + lambda_ >= 1:
            raise ValueError(f"alpha, lambda_: expected a sum of at least 1, got {alpha} and {lambda_}")
        if (critic is None) == (divergence == "adversarial"):
            wanted = "a critic" if critic is None else "None"
            raise ValueError(f"critic: expected {wanted} with divergence {divergence!r}, got {critic}")
        self.alpha, self.lambda_, self.width = alpha, lambda_, width
        self.kernel: Kernel = kernel
        self.divergence: Divergence = divergence
        self.critic, self.steady = critic, critic is None

    def loss(self, reconstruction: Tensor, kl: Tensor, parts: ELBOTerms, terms: LogTerms):
        if len(latents_of(terms.site.value)) < self.least_batch:
            got = len(terms.site.value)
            raise ValueError(f"batch: expected at least two examples for the discrepancy of their codes, got {got}")
        discrepancy = self._discrepancy(terms.site)
        loss = (1 - self.alpha) * kl - reconstruction + (self.alpha + self.lambda_ - 1) * discrepancy
        return loss, with_regulariser(parts, discrepancy)

    def _discrepancy(self, site: LatentSite) -> Tensor:
        """D(q(z), p(z)); the plate has expanded the prior to the batch."""
        z, prior = site.value, site.prior
        if self.divergence == "stein":
            return squared_stein(z, prior, self.kernel, self.width)
        if self.critic is not None:
            with frozen(self.critic):
                ratio = -numbers(self.critic, z).mean()
            of_prior = -prior.log_prob(z.detach()).mean()  # what of KL(q(z), p(z)) the prior has a say in
            return ratio + of_prior - of_prior.detach()
        draws = prior.rsample() if prior.has_rsample else prior.sample()
        return squared_mmd(z, draws.expand_as(z), self.kernel, self.width)
