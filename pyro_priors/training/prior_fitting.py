"""Fit a prior alone: to the codes of any encoder, or to the rows of a table."""

import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from pyro_priors.checks import check_choice, check_count
from pyro_priors.distributions.kinds import width_of
from pyro_priors.modules.prior import Fitting
from pyro_priors.objectives.bounds import LogLikelihood
from pyro_priors.training.callbacks import CosineDecay
from pyro_priors.training.fitting import FitResult, OptimizationStep, fit
from pyro_priors.training.plateau import Plateau
from pyro_priors.training.prior_rows import Observed, SmoothedLikelihood, rows_of
from pyro_priors.training.schedules import EarlyStopping
from pyro_priors.training.stepwise_em import StepwiseEM

LEAST_STEPS, MOST_STEPS = 25, 250  # of an epoch of rates that fall where the validation loss no longer does


def fit_prior(
    prior: Any,
    z: Tensor | Distribution | None = None,
    y: Tensor | None = None,
    *,
    scale: Tensor | None = None,
    validation: Tensor | None = None,
    method: Literal["adam", "em"] | None = None,
    epochs: int | None = None,
    batch_size: int = 256,
    lr: float | None = None,
    decay: bool | None = None,
    patience: int | None = None,
    run_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    progress: bool = False,
    seed: int | None = None,
) -> FitResult:
    """Maximise the mean of log p(z), or of log p(z, y_ob), over codes or rows of a table; in place.

    The rest of the ELBO does not depend on the prior: this is the ELBO's own maximum over the prior, the encoder and
    decoder held as they are. It serves a VAE that was trained without labels (TTLP Table 1), the end of a joint
    training, which leaves the prior behind the encoder, and a law of attributes alone, ``TTLP(0, attributes)``.

    A tenth of the rows is held out, or those of `validation` are. The prior is set from the others where that is better
    (`reinitialize`), then trained by Adam until the likelihood of the held-out ones no longer rises; the best state,
    the start included, is kept. It stays on its device. What is None below is the prior's own choice, measured: chains
    of factored cores learn at rates that fall from 0.05 where the likelihood no longer rises (`Plateau`), until they
    are spent, with a fifth of a pseudo row a bond state.

    Args:
        prior: a prior module; with `y`, one over latents and attributes such as `pyro_priors.TTLP`.
        z: codes ``(n, d)``, n >= 10: one draw of q(z given x) for each example, or with `scale` its mean. Or q(z given
            x) itself, batch ``(n,)``, event ``(d,)``: a Gaussian is drawn from afresh at every step, another law once.
            Of a prior without latents the rows of attributes may stand here.
        y: attributes ``(n, n_attributes)``, NaN = missing; all missing by default.
        scale: standard deviations ``(n, d)`` of a Gaussian q(z given x), drawn from afresh at every step.
        validation: rows ``(n, d + n_attributes)`` to choose by, instead of a tenth.
        method: ``"adam"``, or ``"em"`` for stepwise EM (`StepwiseEM`) of factored cores.
        epochs: at most so many passes over the codes (of `Plateau`: of at least 25 steps, and at most 250).
        batch_size: codes per step.
        lr: Adam's learning rate, or EM's step size: 0.5, or with vectors one whose counts remember all rows.
        decay: let the rate fall to 0 over the epochs, along half a cosine; with it or `patience` there is no `Plateau`.
        patience: epochs without a better likelihood after which it stops.
        run_dir, checkpoint_every, resume, seed: as in `fit`.
        progress: show a progress bar.

    Returns:
        as `fit`; the losses are mean negative log-likelihoods in nats, best_epoch 0 is the start

    Raises:
        ValueError: too few codes, shapes that do not fit, a prior without parameters, EM of another prior.

    References:
        Cappé, Moulines, "On-line expectation-maximization algorithm for latent data models", 2009, arXiv:0712.4273.

    Example:
        >>> import pyro_priors as pp
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(1000, 2) * 0.5 + 3
        >>> prior = pp.GaussianMixture(2, 3)
        >>> result = fit_prior(prior, z, epochs=5)
        >>> bool((prior().mean - 3).abs().max() < 0.1)
        True
    """
    for name, count in (("epochs", epochs), ("batch_size", batch_size), ("patience", patience)):
        check_count(name, 1 if count is None else count)
    if lr is not None and not lr > 0:
        raise ValueError(f"lr: expected a positive number, got {lr!r}")
    value, scale = rows_of(prior, z, y, scale)
    ways: Fitting = prior.fitting() if hasattr(prior, "fitting") else Fitting()
    check_choice("method", method or "adam", ("adam", "em"))
    if seed is not None:
        torch.manual_seed(seed)
    # Beside a checkpoint the same rows must be held out when it is resumed, whatever has been drawn before.
    own = torch.Generator(value.device).manual_seed(0) if run_dir is not None else None
    order = torch.randperm(len(value), device=value.device, generator=own)
    held_out, train = order.tensor_split([0 if validation is not None else len(value) // 10])
    observed = Observed(prior)
    if validation is None:
        validation = observed.draw(value[held_out], scale[held_out])
    elif validation.dim() != 2 or validation.shape[1] != value.shape[1] or len(validation) == 0:
        raise ValueError(f"validation: expected shape (n, {value.shape[1]}) with n >= 1, got {tuple(validation.shape)}")
    validation = validation.to(value)
    rows = TensorDataset(value[train], scale[train])
    plateau = Plateau() if ways.plateau and decay is None and patience is None else None
    batches = DataLoader(rows, batch_size, shuffle=True)
    if plateau is not None:  # an epoch has enough steps to see whether they help, and no more
        share = min(max(len(train), LEAST_STEPS * batch_size), MOST_STEPS * batch_size)
        batches = DataLoader(rows, batch_size, sampler=RandomSampler(rows, num_samples=share))
    epochs = epochs or (ways.epochs if plateau is not None else Fitting().epochs)
    if method == "em":
        count, batch = len(train), min(batch_size, len(train))
        # Counts that remember all rows: covariances of the last ones alone would be too few rows'.
        step = 2 * batch / (count + batch) if getattr(prior, "vectors", ()) else 0.5
        optimizer = StepwiseEM(prior, count, lr=lr or step, pseudo=ways.pseudo, batch=batch)
    else:
        optimizer = torch.optim.Adam(prior.parameters(), lr=lr or ways.lr, betas=ways.betas)
    start = _start(prior, observed, value[train], scale[train], validation)
    objective = LogLikelihood()
    if method != "em" and ways.pseudo:
        objective = SmoothedLikelihood(prior, ways.pseudo / len(train))
    result = fit(
        OptimizationStep(objective, optimizer),
        observed,
        batches,
        epochs=epochs,
        validation=DataLoader(TensorDataset(validation, torch.zeros_like(validation)), 1000),
        callbacks=[plateau] if plateau else [CosineDecay(epochs * len(batches))] if decay else [],
        early_stopping=plateau.stopping if plateau else EarlyStopping(patience or 3),
        run_dir=run_dir,
        checkpoint_every=checkpoint_every,
        resume=resume,
        accelerator=value.device.type,
        progress=progress,
        seed=seed,
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


def _start(prior: Any, observed: Observed, value: Tensor, scale: Tensor, validation: Tensor) -> _Start:
    """The better of what the prior is and what `reinitialize` makes of the rows; the prior is left at it."""
    start = _Start(prior, validation)
    if not hasattr(prior, "reinitialize"):
        return start
    attributes = width_of(getattr(prior, "attributes", {}).values())
    drawn = observed.draw(value, scale)
    with warnings.catch_warnings():  # it goes on to train, whatever the codes are
        warnings.filterwarnings("ignore", "z: expected draws of q")
        prior.reinitialize(*drawn.split([drawn.shape[1] - attributes, attributes], -1)[: 2 if attributes else 1])
    there = _Start(prior, validation)
    laid = any(not torch.equal(x, there.state[key]) for key, x in start.state.items() if key.endswith("order_laid"))
    start = there if laid else min(start, there, key=lambda candidate: candidate.loss)
    prior.load_state_dict(start.state)
    return start
