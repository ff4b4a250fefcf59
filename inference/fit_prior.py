"""Fit a prior alone, to the codes of any encoder."""

from typing import NamedTuple

import pyro
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from inference.fit import FitResult, OptimizationStep, fit
from inference.schedules import EarlyStopping
from pyro_priors.checks import check_count


class LogLikelihoodTerms(NamedTuple):
    """Mean over the batch, in nats."""

    log_likelihood: Tensor


def fit_prior(
    prior: nn.Module,
    z: Tensor,
    y: Tensor | None = None,
    *,
    epochs: int = 50,
    batch_size: int = 256,
    lr: float = 1e-2,
    patience: int = 3,
    progress: bool = False,
) -> FitResult:
    """Maximise the mean of log p(z), or of log p(z, y_ob), over codes; in place.

    The prior is first set from the codes where it can be (`reinitialize`), then trained by Adam until the likelihood of
    a tenth of the codes that were held out no longer rises. The encoder is left as it is: afterwards everything may be
    fine-tuned together, or the prior used as it is (a VAE pretrained without labels, TTLP Table 1).

    Args:
        prior: a prior module; with `y`, one over latents and attributes such as `pyro_priors.TTLP`.
        z: codes ``(n, d)``, one draw of q(z given x) for each example, n >= 10.
        y: attributes ``(n, n_attributes)``, NaN = missing.
        epochs: at most so many passes over the codes.
        batch_size: codes per step.
        lr: Adam's learning rate.
        patience: epochs without a better likelihood after which it stops.
        progress: show a progress bar.

    Returns:
        as `fit`; the losses are mean negative log-likelihoods

    Raises:
        ValueError: too few codes, shapes that do not fit, a prior without parameters.

    Example:
        >>> import pyro_priors as pp
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(1000, 2) * 0.5 + 3
        >>> prior = pp.GaussianMixture(2, 3)
        >>> result = fit_prior(prior, z, epochs=5)
        >>> bool((prior().mean - 3).abs().max() < 0.1)
        True
    """
    check_count("epochs", epochs)
    if len(z) < 10:
        raise ValueError(f"z: expected at least 10 codes, got {len(z)}")
    if not list(prior.parameters()):
        raise ValueError(f"prior: expected one with parameters, got {prior}")
    if hasattr(prior, "reinitialize"):
        prior.reinitialize(*([z] if y is None else [z, y]))
    value = z.detach() if y is None else torch.cat([z.detach(), y.to(z)], -1)
    value = value[torch.randperm(len(value))]
    held_out = len(value) // 10
    train, validation = (
        DataLoader(TensorDataset(rows), batch_size, shuffle=shuffle)
        for rows, shuffle in ((value[held_out:], True), (value[:held_out], False))
    )
    step = OptimizationStep(_log_likelihood, torch.optim.Adam(prior.parameters(), lr=lr))
    stopping = EarlyStopping(patience)
    return fit(
        step, _Observed(prior), train, epochs=epochs, validation=validation, early_stopping=stopping, progress=progress
    )


class _Observed(nn.Module):
    """The prior as a program whose only site is observed."""

    def __init__(self, prior: nn.Module) -> None:
        super().__init__()
        self.prior = prior

    def model(self, value: Tensor) -> None:
        with pyro.plate("data", len(value)):
            pyro.sample("value", self.prior(), obs=value)

    def guide(self, value: Tensor) -> None:
        """Nothing is latent."""


def _log_likelihood(model, guide, value: Tensor) -> tuple[Tensor, LogLikelihoodTerms]:
    trace = pyro.poutine.trace(model).get_trace(value)
    log_likelihood = trace.log_prob_sum() / len(value)
    return -log_likelihood, LogLikelihoodTerms(log_likelihood.detach())
