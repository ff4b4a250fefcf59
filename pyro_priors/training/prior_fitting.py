"""Fit a prior alone, to the codes of any encoder."""

import warnings
from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.utils.data import DataLoader, TensorDataset

from pyro_priors.checks import check_count
from pyro_priors.modules.codes import check_laws, means_and_scales
from pyro_priors.objectives.bounds import LogLikelihood
from pyro_priors.ops import full_precision
from pyro_priors.training.callbacks import CosineDecay
from pyro_priors.training.fitting import FitResult, OptimizationStep, fit
from pyro_priors.training.schedules import EarlyStopping


def fit_prior(
    prior: Any,
    z: Tensor | Distribution,
    y: Tensor | None = None,
    *,
    scale: Tensor | None = None,
    epochs: int = 50,
    batch_size: int = 256,
    lr: float = 1e-2,
    decay: bool = False,
    patience: int = 3,
    progress: bool = False,
) -> FitResult:
    """Maximise the mean of log p(z), or of log p(z, y_ob), over codes; in place.

    The rest of the ELBO does not depend on the prior: this is the ELBO's own maximum over the prior, the encoder and
    decoder held as they are. It serves a VAE that was trained without labels (TTLP Table 1), and the end of a joint
    training, which leaves the prior behind the encoder.

    A tenth of the codes is held out. The prior is set from the others where that is better (`reinitialize`), then
    trained by Adam until the likelihood of the held-out ones no longer rises; the best state, the start included, is
    kept. It stays on its device.

    Args:
        prior: a prior module; with `y`, one over latents and attributes such as `pyro_priors.TTLP`.
        z: codes ``(n, d)``, n >= 10: one draw of q(z given x) for each example, or with `scale` its mean. Or q(z given
            x) itself, batch ``(n,)``, event ``(d,)``: a Gaussian is drawn from afresh at every step, another law once.
        y: attributes ``(n, n_attributes)``, NaN = missing; all missing by default.
        scale: standard deviations ``(n, d)`` of a Gaussian q(z given x), drawn from afresh at every step.
        epochs: at most so many passes over the codes.
        batch_size: codes per step.
        lr: Adam's learning rate.
        decay: let the learning rate fall to 0 over the epochs, along half a cosine.
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
    value, scale = _checked(prior, z, y, scale, epochs, batch_size, lr, patience)
    order = torch.randperm(len(value), device=value.device)
    held_out, train = order.tensor_split([len(value) // 10])
    observed = _Observed(prior)
    validation = observed.draw(value[held_out], scale[held_out])
    start = _Start(prior, validation)
    if hasattr(prior, "reinitialize"):
        attributes = len(getattr(prior, "attributes", ()))
        drawn = observed.draw(value[train], scale[train])
        with warnings.catch_warnings():  # it goes on to train, whatever the codes are
            warnings.filterwarnings("ignore", "z: expected draws of q")
            prior.reinitialize(*drawn.split([drawn.shape[1] - attributes, attributes], -1)[: 2 if attributes else 1])
        start = min(start, _Start(prior, validation), key=lambda candidate: candidate.loss)
        prior.load_state_dict(start.state)
    batches = DataLoader(TensorDataset(value[train], scale[train]), batch_size, shuffle=True)
    result = fit(
        OptimizationStep(LogLikelihood(), torch.optim.Adam(prior.parameters(), lr=lr)),
        observed,
        batches,
        epochs=epochs,
        validation=DataLoader(TensorDataset(validation, torch.zeros_like(validation)), 1000),
        callbacks=[CosineDecay(epochs * len(batches))] if decay else [],
        early_stopping=EarlyStopping(patience),
        accelerator=value.device.type,
        progress=progress,
    )
    if result.best_loss >= start.loss:
        prior.load_state_dict(start.state)
        return result._replace(best_epoch=0, best_loss=start.loss)
    return result


class _Start:
    """A copy of what the prior knows, and how badly it explains the held-out codes."""

    @torch.no_grad()
    def __init__(self, prior: nn.Module, held_out: Tensor) -> None:
        self.state = {key: tensor.clone() for key, tensor in prior.state_dict().items()}
        self.loss = -torch.cat([prior().log_prob(part) for part in held_out.split(1000)]).mean().item()


def _checked(prior, z, y, scale, epochs, batch_size, lr, patience) -> tuple[Tensor, Tensor]:
    """Codes and attributes side by side on the prior's device, ``(n, d + n_attributes)``, and their scales."""
    for name, count in (("epochs", epochs), ("batch_size", batch_size), ("patience", patience)):
        check_count(name, count)
    if not lr > 0:
        raise ValueError(f"lr: expected a positive number, got {lr!r}")
    if getattr(prior, "takes_encoder", False):
        raise ValueError(f"prior: expected one that takes no encoder, got {prior}")
    parameters = list(prior.parameters())
    if not parameters:
        raise ValueError(f"prior: expected one with parameters, got {prior}")
    if isinstance(z, Distribution):
        if scale is not None:
            raise ValueError("scale: expected None beside laws, which have their own")
        check_laws(z, prior.latent_dim)
        z, scale = means_and_scales(z) or (z.sample(), None)
    z = z if z.is_floating_point() else z.to(parameters[0])
    if z.dim() != 2 or z.shape[1] != prior.latent_dim or len(z) < 10:
        raise ValueError(f"z: expected shape (n, {prior.latent_dim}) with n >= 10, got {tuple(z.shape)}")
    attributes = len(getattr(prior, "attributes", ()))
    if y is None:
        y = z.new_full((len(z), attributes), torch.nan)
    if y.shape != (len(z), attributes):
        raise ValueError(f"y: expected shape ({len(z)}, {attributes}), got {tuple(y.shape)}")
    if scale is None:
        scale = torch.zeros_like(z)
    if scale.shape != z.shape or not (scale >= 0).all():
        got = tuple(scale.shape) if scale.shape != z.shape else "negative or NaN entries"
        raise ValueError(f"scale: expected shape {tuple(z.shape)} and no negative entries, got {got}")
    value, spread = (
        torch.cat([part.detach(), more.to(full_precision(part))], -1).to(full_precision(parameters[0]))
        for part, more in ((z, y), (scale, torch.zeros_like(y)))
    )
    return value, spread


class _Observed(nn.Module):
    """The prior as a program whose only site is observed, at codes drawn afresh."""

    def __init__(self, prior: nn.Module) -> None:
        super().__init__()
        self.prior = prior

    @staticmethod
    def draw(value: Tensor, scale: Tensor) -> Tensor:
        """Attributes have a scale of 0."""
        return value + scale * torch.randn_like(value)

    def model(self, value: Tensor, scale: Tensor) -> None:
        with pyro.plate("data", len(value)):
            pyro.sample("value", self.prior(), obs=self.draw(value, scale))

    def guide(self, value: Tensor, scale: Tensor) -> None:
        """Nothing is latent."""
