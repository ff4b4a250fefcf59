"""Losses of adversarial models: a critic's, and that of a generator program and its prior.

Each is a module `loss, terms = objective(model, guide, *batch)` for `training.fit`, where `model` is a generator
program (it draws a latent and returns images) and a batch is real images and what they are conditioned on, which the
critic sees too. Critics give one number an example.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import torch
from pyro import poutine
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from pyro_priors.checks import check_choice
from pyro_priors.objectives.estimators import Drawn, Pathwise, ScoreFunction, log_observed
from pyro_priors.objectives.pulling_away import pull_away
from pyro_priors.objectives.regularisers import check_weight
from pyro_priors.objectives.traces import Program, check_examples, sample_sites, site_of
from pyro_priors.ops import full_precision

Kind = Literal["minimax", "non-saturating", "wasserstein", "hinge", "energy"]


class Game(NamedTuple):
    """What critic and generator minimise, of the critic's numbers for each example."""

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def make_game(kind: Kind, *, real_label: float = 1.0, margin: float = 10.0) -> Game:
    """The losses of a kind of adversarial model.

    "minimax" and "non-saturating" are Goodfellow et al., 2014, eq. 1 and section 3, arXiv:1406.2661; "wasserstein"
    Arjovsky et al., 2017, eq. 2-3, arXiv:1701.07875; "hinge" Miyato et al. (SN-GAN), 2018, eq. 16-17,
    arXiv:1802.05957; "energy" Zhao et al. (EBGAN), 2016, eq. 1-2, arXiv:1609.03126, whose critic's number is an energy.

    Args:
        kind: one of these.
        real_label: for the first two, what the critic is to say of real images: below 1 is one-sided label smoothing
            (Salimans et al., 2016, section 3.4, arXiv:1606.03498).
        margin: for "energy", above which the energy of generated images need not rise.

    Raises:
        ValueError: an unknown kind, a label outside (0, 1] or other than 1 for the others, a margin that is not
            positive.
    """
    check_choice("kind", kind, get_args(Kind))
    if not 0 < real_label <= 1 or (real_label != 1 and kind not in ("minimax", "non-saturating")):
        raise ValueError(f"real_label: expected 1, or for minimax and non-saturating in (0, 1], got {real_label}")
    if not margin > 0:
        raise ValueError(f"margin: expected a positive number, got {margin}")
    if kind == "wasserstein":
        return Game(torch.neg, torch.positive, torch.neg)
    if kind == "hinge":
        return Game(lambda d: relu(1 - d), lambda d: relu(1 + d), torch.neg)
    if kind == "energy":
        return Game(torch.positive, lambda d: relu(margin - d), torch.positive)
    generator = (lambda d: -softplus(d)) if kind == "minimax" else (lambda d: softplus(-d))
    return Game(lambda d: real_label * softplus(-d) + (1 - real_label) * softplus(d), softplus, generator)


class CriticTerms(NamedTuple):
    """Means of the critic's numbers for real and generated images, and the gradient penalty before its weight."""

    real: Tensor
    fake: Tensor
    penalty: Tensor


class CriticLoss(nn.Module):
    """The critic's loss: of real images against those of a generator program.

    Note:
        `noise` is an ordinary attribute, in units of the images; a schedule may lower it (`training.Anneal`). Losses
        of different epochs do not compare: `training.fit` keeps the last weights. With several devices all means are
        over each device's part of the batch.

    References:
        The gradient penalty: Gulrajani et al., 2017, eq. 3, arXiv:1704.00028. Instance noise: Soenderby et al., 2016,
        arXiv:1610.04490. Wrong attributes as further fakes: Reed et al., 2016, arXiv:1605.05396, algorithm 1.

    Args:
        critic: `critic(x, *given)` is `(n,)`, for a batch `(x, *given)`.
        kind: as in `make_game`.
        penalty: weight of the gradient penalty between real and generated images; 10 in WGAN-GP.
        noise: standard deviation of Gaussian noise on real and generated images alike.
        mismatched: real images with the attributes of others count as half of the fakes.
        kwargs: as for `make_game`.

    Raises:
        ValueError: an unknown kind, a negative weight or noise; on a call, `mismatched` without attributes, a critic
            that gives another shape.
    """

    steady = False

    def __init__(
        self,
        critic: nn.Module,
        kind: Kind = "wasserstein",
        *,
        penalty: float = 0.0,
        noise: float = 0.0,
        mismatched: bool = False,
        **kwargs: float,
    ) -> None:
        super().__init__()
        self.critic, self.game = critic, make_game(kind, **kwargs)
        self.penalty, self.noise = check_weight("penalty", penalty), check_weight("noise", noise)
        self.mismatched = mismatched

    def forward(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, CriticTerms]:
        check_examples(batch)
        real, fake, given = self.pair(model, guide, batch)
        real, fake = noisy(real, self.noise), noisy(fake, self.noise)
        of_real, of_fake = numbers(self.critic, real, *given), numbers(self.critic, fake, *given)
        against = self.game.fake(of_fake).mean()
        if self.mismatched and (wrong := self._wrong(real, given)) is not None:
            against = (against + wrong) / 2
        penalty = gradient_penalty(self.critic, real, fake, *given) if self.penalty else of_real.new_zeros(())
        loss = self.game.real(of_real).mean() + against + self.penalty * penalty
        return loss, CriticTerms(of_real.mean().detach(), of_fake.mean().detach(), penalty.detach())

    if TYPE_CHECKING:
        __call__ = forward

    def pair(self, model: Program, guide: Program, batch: tuple) -> tuple[Tensor, Tensor, tuple]:
        """Real and generated images, and what the critic sees beside both."""
        with torch.no_grad():
            return batch[0], model(*batch), batch[1:]

    def _wrong(self, real: Tensor, given: tuple) -> Tensor | None:
        """The loss of real images with the attributes of the next, over those that differ in a known one, if any."""
        if not given:
            raise ValueError("mismatched: expected attributes beside the images, got none")
        y = given[0]
        others = y.roll(1, 0)
        wrong = ((y != others) & ~y.isnan() & ~others.isnan()).any(-1)
        return self.game.fake(numbers(self.critic, real, others, *given[1:])[wrong]).mean() if wrong.any() else None


class GeneratorTerms(NamedTuple):
    """Means over the batch: the cost by the critic, log p of what the program observes, -log q of the code."""

    cost: Tensor
    observed: Tensor
    information: Tensor


class GeneratorLoss(nn.Module):
    """The loss of a generator program: the critic's verdict, which reaches networks and prior by an estimator.

    What the program observes (attributes, NaN = missing) counts with its log-density: a joint prior learns their law.
    With several devices features are matched, and the baseline of a score function is taken, over each device's part of
    the batch.

    References:
        Kuznetsov et al. (TRIP), 2019, eq. 9-10, arXiv:1910.13148. Feature matching: Salimans et al., 2016, section 3.1,
        arXiv:1606.03498. Information: Chen et al. (InfoGAN), 2016, eq. 5-6, arXiv:1606.03657.

    Args:
        critic, kind, noise, kwargs: as for `CriticLoss`.
        estimator: how the prior gets gradients, as `Pathwise()` or `ScoreFunction()`.
        matching: match the mean of the critic's features (`critic.features`) instead of its verdict.
        pulling_away: weight of `pull_away` of the critic's features; 0.1 in EBGAN.
        information: weight of -log q(c given x) under the guide, which recognises the code.
        code: the site of the code.

    Raises:
        ValueError: an unknown kind, a negative weight, `pulling_away` beside a score function; on a call, as the
            estimator, and a code that the program does not draw.
    """

    steady = False
    critic: Any  # of which features may be wanted

    def __init__(
        self,
        critic: nn.Module,
        kind: Kind = "wasserstein",
        estimator: Pathwise | ScoreFunction | None = None,
        *,
        noise: float = 0.0,
        matching: bool = False,
        pulling_away: float = 0.0,
        information: float = 0.0,
        code: str = "c",
        **kwargs: float,
    ) -> None:
        super().__init__()
        self.critic, self.game, self.estimator = critic, make_game(kind, **kwargs), estimator or Pathwise()
        self.noise, self.matching = check_weight("noise", noise), matching
        self.information, self.code = check_weight("information", information), code
        self.pulling_away = check_weight("pulling_away", pulling_away)
        if self.pulling_away and isinstance(self.estimator, ScoreFunction):  # of a batch, not of single examples
            raise ValueError(f"pulling_away: expected 0 with a score function, got {pulling_away}")
        self.least_batch = max(self.estimator.least_batch, 2 if self.pulling_away else 1)

    def forward(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, GeneratorTerms]:
        check_examples(batch)
        drawn = self.estimator.draw(model, *batch)
        cost = self.cost(drawn.x, *batch)
        observed = log_observed(drawn)
        information = cost.new_zeros(())
        if self.information:
            unrecognised = self._unrecognised(drawn, guide, batch)
            cost, information = cost + self.information * unrecognised, unrecognised.mean()
        loss = self.estimator.loss(drawn, cost) - observed.mean()
        return loss, GeneratorTerms(cost.mean().detach(), observed.mean().detach(), information.detach())

    if TYPE_CHECKING:
        __call__ = forward

    def _unrecognised(self, drawn: Drawn, guide: Program, batch: tuple) -> Tensor:
        """-log q(c given x) of each example's own code."""
        if self.code not in drawn.trace.nodes:
            sites = [name for name, _ in sample_sites(drawn.trace)]
            raise ValueError(f"code: expected a site that the program draws, got {self.code!r} (it has {sites})")
        recognised = poutine.condition(guide, data={self.code: site_of(drawn.trace, self.code)["value"]})
        site = site_of(poutine.trace(recognised).get_trace(drawn.x, *batch[1:]), self.code)
        return -site["fn"].log_prob(site["value"])

    def cost(self, fake: Tensor, real: Tensor, *given: Tensor) -> Tensor:
        """What each generated image costs, `(n,)`."""
        fake = noisy(fake, self.noise)
        with frozen(self.critic):
            if not (self.matching or self.pulling_away):
                return self.game.generator(numbers(self.critic, fake, *given))
            features = full_precision(self.critic.features(fake, *given))
            apart = self.pulling_away * pull_away(features) if self.pulling_away else 0.0
            if not self.matching:
                return self.game.generator(numbers(self.critic, fake, *given)) + apart
            with torch.no_grad():
                wanted = full_precision(self.critic.features(noisy(real, self.noise), *given)).mean(0)
            off = features.mean(0) - wanted
            # Linear in each example, so that it has a cost of its own; the gradient is that of the squared distance.
            linear = 2 * ((features - features.mean(0).detach()) @ off.detach())
            return linear + off.detach().square().sum() + apart


def gradient_penalty(critic: Callable, real: Tensor, fake: Tensor, *given: Tensor) -> Tensor:
    """How far the norm of the critic's gradient is from 1, squared, at points between real and generated images.

    The critic must treat every image by itself: with batch normalisation or minibatch discrimination the gradient is
    not one of each image's own number. In float32 under autocast too.

    Shapes:
        ``(n, *), (n, *) -> ()``

    References:
        Gulrajani et al., "Improved training of Wasserstein GANs", 2017, eq. 3, arXiv:1704.00028.

    Example:
        >>> gradient_penalty(lambda x: 3 * x[:, 0], torch.zeros(5, 2), torch.ones(5, 2))
        tensor(4.)
    """
    x = between(full_precision(real.detach()), full_precision(fake.detach())).requires_grad_()
    given = tuple(full_precision(part) for part in given)
    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(critic(x, *given).sum(), x, create_graph=True)
    norm = (gradient.flatten(1).square().sum(-1) + 1e-12).sqrt()  # a gradient at 0
    return (norm - 1).square().mean()


def numbers(critic: Callable, x: Tensor, *given: Tensor) -> Tensor:
    """What a critic says of images, `(n,)`, in float32 at least."""
    verdicts = full_precision(critic(x, *given))
    if verdicts.shape != x.shape[:1]:
        raise ValueError(f"critic: expected one number an image, ({len(x)},), got {tuple(verdicts.shape)}")
    return verdicts


def between(real: Tensor, fake: Tensor) -> Tensor:
    """A point on the line from each real image to a generated one, uniformly."""
    share = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device, dtype=real.dtype)
    return torch.lerp(real, fake.to(real), share)


def noisy(x: Tensor, noise: float) -> Tensor:
    """With Gaussian noise of this standard deviation."""
    return x + noise * torch.randn_like(x) if noise else x


@contextlib.contextmanager
def frozen(module: Any) -> Iterator[None]:
    """What is computed inside has no gradient to the parameters of a module, only through it."""
    parameters = [p for p in module.parameters() if p.requires_grad] if isinstance(module, nn.Module) else []
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
