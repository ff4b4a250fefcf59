"""Fit a prior alone, to the codes of any encoder."""

import pyro
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from inference.fit import FitResult, OptimizationStep, fit
from inference.objectives import LogLikelihood
from inference.schedules import EarlyStopping
from pyro_priors.checks import check_count


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

    A tenth of the codes is held out. The prior is set from the others where it can be (`reinitialize`), then trained by
    Adam until the likelihood of the held-out ones no longer rises; the best state, the start included, is kept. It
    stays on its device. The encoder is left as it is: afterwards everything may be fine-tuned together, or the prior
    used as it is (a VAE pretrained without labels, TTLP Table 1).

    Args:
        prior: a prior module; with `y`, one over latents and attributes such as `pyro_priors.TTLP`.
        z: codes ``(n, d)``, one draw of q(z given x) for each example, n >= 10.
        y: attributes ``(n, n_attributes)``, NaN = missing; all missing by default.
        epochs: at most so many passes over the codes.
        batch_size: codes per step.
        lr: Adam's learning rate.
        patience: epochs without a better likelihood after which it stops.
        progress: show a progress bar.

    Returns:
        as `fit`; the losses are mean negative log-likelihoods in nats, best_epoch 0 is the start

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
    value = _checked(prior, z, y, epochs, batch_size, lr, patience)
    value = value[torch.randperm(len(value))]
    train, held_out = value[len(value) // 10 :], value[: len(value) // 10]
    if hasattr(prior, "reinitialize"):
        attributes = len(getattr(prior, "attributes", ()))
        prior.reinitialize(*train.split([train.shape[1] - attributes, attributes], -1)[: 2 if attributes else 1])
    with torch.no_grad():
        start = {key: tensor.clone() for key, tensor in prior.state_dict().items()}
        start_loss = -prior().log_prob(held_out).mean().item()
    result = fit(
        OptimizationStep(LogLikelihood(), torch.optim.Adam(prior.parameters(), lr=lr)),
        _Observed(prior),
        DataLoader(TensorDataset(train), batch_size, shuffle=True),
        epochs=epochs,
        validation=DataLoader(TensorDataset(held_out), batch_size),
        early_stopping=EarlyStopping(patience),
        accelerator=value.device.type,
        progress=progress,
    )
    if result.best_loss >= start_loss:
        prior.load_state_dict(start)
        return result._replace(best_epoch=0, best_loss=start_loss)
    return result


def _checked(prior, z, y, epochs, batch_size, lr, patience) -> Tensor:
    """Codes and attributes side by side on the prior's device, ``(n, d + n_attributes)``; errors before any work."""
    for name, count in (("epochs", epochs), ("batch_size", batch_size), ("patience", patience)):
        check_count(name, count)
    if not lr > 0:
        raise ValueError(f"lr: expected a positive number, got {lr!r}")
    parameters = list(prior.parameters())
    if not parameters:
        raise ValueError(f"prior: expected one with parameters, got {prior}")
    if z.dim() != 2 or z.shape[1] != prior.latent_dim or len(z) < 10:
        raise ValueError(f"z: expected shape (n, {prior.latent_dim}) with n >= 10, got {tuple(z.shape)}")
    attributes = len(getattr(prior, "attributes", ()))
    if y is None:
        y = z.new_full((len(z), attributes), torch.nan)
    if y.shape != (len(z), attributes):
        raise ValueError(f"y: expected shape ({len(z)}, {attributes}), got {tuple(y.shape)}")
    return torch.cat([z.detach(), y.to(z)], -1).to(parameters[0])


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
