"""What steadies adversarial training: consensus optimisation, clipped weights."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from pyro_priors.objectives.adversarial import noisy, numbers
from pyro_priors.objectives.estimators import ScoreFunction
from pyro_priors.objectives.regularisers import check_weight
from pyro_priors.objectives.traces import Program


class ConsensusTerms(NamedTuple):
    """The player's own loss, and half the squared length of both players' gradients."""

    own: Tensor
    consensus: Tensor


class Consensus(nn.Module):
    """Consensus optimisation: to a player's loss half the squared length of the gradients of both is added.

    It pulls both towards a point where neither wants to move. The gradients are those of the game itself, without
    penalty, further fakes, or the program's other terms. The networks only: draws of the prior enter without gradients,
    since their pathwise ones are exact to first order only. With several devices it is the mean over their parts of
    the batch.

    References:
        Mescheder, Nowozin, Geiger, "The numerics of GANs", 2017, eq. 9-10, arXiv:1705.10461.

    Args:
        player: a `CriticLoss` or `GeneratorLoss`; wrap both.
        generator: the network whose parameters are the generator's.
        weight: of the regulariser.
        latent: the site of the latents.

    Raises:
        ValueError: a negative weight, a player that matches features.
    """

    steady = False
    player: Any  # a CriticLoss or GeneratorLoss

    def __init__(self, player: nn.Module, generator: nn.Module, weight: float, latent: str = "z") -> None:
        super().__init__()
        if getattr(player, "matching", False):
            raise ValueError("player: expected a game of two losses, got one that matches features")
        self.player, self.generator, self.weight = player, generator, check_weight("weight", weight)
        self.detached = ScoreFunction("none", latent=latent)
        self.least_batch = getattr(player, "least_batch", 1)

    def forward(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, ConsensusTerms]:
        loss, _ = self.player(model, guide, *batch)
        consensus = self.squared_gradients(model, *batch)
        return loss + self.weight * consensus, ConsensusTerms(loss.detach(), consensus.detach())

    if TYPE_CHECKING:
        __call__ = forward

    @torch.enable_grad()
    def squared_gradients(self, model: Program, real: Tensor, *given: Tensor) -> Tensor:
        """``1/2 |v|^2`` for v the critic's gradient of its loss beside the generator's of its own, a scalar."""
        critic, game, noise = self.player.critic, self.player.game, self.player.noise
        fake = noisy(self.detached.draw(model, real, *given).x, noise)
        of_real, of_fake = numbers(critic, noisy(real, noise), *given), numbers(critic, fake, *given)
        against = game.real(of_real).mean() + game.fake(of_fake).mean()
        gradients = _gradients(against, critic) + _gradients(game.generator(of_fake).mean(), self.generator)
        return cast(Tensor, sum(gradient.square().sum() for gradient in gradients)) / 2


def _gradients(loss: Tensor, module: nn.Module) -> tuple[Tensor, ...]:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    return tuple(gradient for gradient in gradients if gradient is not None)


def clip_weights(optimizer: torch.optim.Optimizer, bound: float) -> Any:
    """Keep every parameter of an optimizer within [-bound, bound] after each of its steps -> a handle to `remove`.

    References:
        Arjovsky, Chintala, Bottou (WGAN), 2017, algorithm 1, arXiv:1701.07875 (0.01).

    Raises:
        ValueError: a bound that is not positive.

    Example:
        >>> weight = torch.zeros(1, requires_grad=True)
        >>> optimizer = torch.optim.SGD([weight], lr=0.1)
        >>> handle = clip_weights(optimizer, 0.01)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight.detach()
        tensor([-0.0100])
    """
    if not bound > 0:
        raise ValueError(f"bound: expected a positive number, got {bound}")

    @torch.no_grad()
    def clip(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for parameter in _parameters(optimizer):
            parameter.clamp_(-bound, bound)

    clip(optimizer)
    return optimizer.register_step_post_hook(clip)


def _parameters(optimizer: torch.optim.Optimizer) -> Iterable[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])
