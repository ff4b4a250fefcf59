"""Autoencoders with a critic: of codes against the prior (AAE), of images, whose features measure likeness (VAE/GAN).

Both take any model/guide pair of a variational autoencoder, with any prior.
"""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_priors.checks import check_choice
from pyro_priors.objectives.adversarial import CriticLoss, Kind, frozen, make_game, numbers
from pyro_priors.objectives.bounds import ELBO, ELBOTerms
from pyro_priors.objectives.estimators import Pathwise, ScoreFunction
from pyro_priors.objectives.regularisers import check_weight, latents_of, with_regulariser
from pyro_priors.objectives.traces import LogTerms, Program, check_examples, divergence, site_of, trace_pair
from pyro_priors.ops import full_precision


class AdversarialELBO(ELBO):
    """AAE: the reconstruction, and a critic that must not tell codes from draws of the prior; no KL.

    A prior that learns goes to meet the codes: its draws are to look like them. Train the critic beside it by
    `CodeCriticLoss`.

    References:
        Makhzani et al., "Adversarial autoencoders", 2015, section 2, arXiv:1511.05644.

    Args:
        critic: codes `(n, d)` to one number each.
        kind: as in `make_game`.
        weight: of the critic's verdict.
        estimator: how the prior gets gradients; None leaves it as it is.
        latent: the site of the latents.

    Raises:
        ValueError: an unknown kind, a negative weight; on a call, as for `ELBO` and the estimator.
    """

    steady = False

    def __init__(
        self,
        critic: nn.Module,
        kind: Kind = "non-saturating",
        *,
        weight: float = 1.0,
        estimator: Pathwise | ScoreFunction | None = None,
        latent: str = "z",
    ) -> None:
        super().__init__(latent)
        self.critic, self.game, self.weight = critic, make_game(kind), check_weight("weight", weight)
        self.estimator, self.least_batch = estimator, getattr(estimator, "least_batch", 1)

    def loss(self, reconstruction: Tensor, kl: Tensor, parts: ELBOTerms, terms: LogTerms):
        estimator = self.estimator
        with frozen(self.critic):
            verdict = self.game.generator(numbers(self.critic, latents_of(terms.site.value))).mean()
            if estimator is not None:
                drawn = estimator.draw(lambda: pyro.sample(estimator.latent, terms.site.prior))
                verdict = verdict + estimator.loss(drawn, self.game.generator(-numbers(self.critic, drawn.x)))
        return self.weight * verdict - reconstruction, with_regulariser(parts, verdict)


class CodeCriticLoss(CriticLoss):
    """The critic of an AAE: draws of the prior are real, codes are not.

    Args:
        critic, kind, penalty, noise, kwargs: as for `CriticLoss`.
        latent: the site of the latents.
    """

    def __init__(self, critic: nn.Module, kind: Kind = "non-saturating", *, latent: str = "z", **kwargs) -> None:
        super().__init__(critic, kind, **kwargs)
        self.latent = latent

    @torch.no_grad()
    def pair(self, model: Program, guide: Program, batch: tuple) -> tuple[Tensor, Tensor, tuple]:
        guide_trace, model_trace = trace_pair(model, guide, batch)
        return (
            site_of(model_trace, self.latent)["fn"].sample(),
            latents_of(site_of(guide_trace, self.latent)["value"]),
            (),
        )


class SimilarityTerms(NamedTuple):
    """Means over the batch: KL, half the squared distance of features, and the critic's verdict on the decoder."""

    kl: Tensor
    distance: Tensor
    verdict: Tensor


class SimilarityLoss(nn.Module):
    """VAE/GAN: images are alike where a critic's features are; the loss of the encoder, or of the decoder.

    Encoder and prior: KL + distance. Decoder: gamma distance + the critic's verdict on what it makes of codes and of
    draws of the prior, where distance is ``1/2 |f(x) - f(x')|^2`` for x' the mean of p(x given z), f the features. The
    two want an optimizer each, the critic a third, with `SimilarityCriticLoss`.

    References:
        Larsen et al., "Autoencoding beyond pixels using a learned similarity metric", 2016, algorithm 1 and eq. 7-8,
        arXiv:1512.09300.

    Args:
        critic: a critic of images with `features`.
        part: "encoder" or "decoder", whose parameters its optimizer has.
        kind: as in `make_game`.
        gamma: weight of the distance for the decoder.
        latent, image: the sites of latents and images.

    Raises:
        ValueError: an unknown part or kind, a negative weight.
    """

    steady = False

    def __init__(
        self,
        critic: nn.Module,
        part: Literal["encoder", "decoder"],
        kind: Kind = "non-saturating",
        *,
        gamma: float = 1.0,
        latent: str = "z",
        image: str = "x",
    ) -> None:
        super().__init__()
        check_choice("part", part, ("encoder", "decoder"))
        self.critic: Any = critic  # with its features
        self.part, self.game, self.gamma = part, make_game(kind), check_weight("gamma", gamma)
        self.latent, self.image = latent, image

    def forward(self, model: Program, guide: Program, *batch: Tensor) -> tuple[Tensor, SimilarityTerms]:
        check_examples(batch)
        guide_trace, model_trace = trace_pair(model, guide, batch)
        made = site_of(model_trace, self.image)["fn"].mean
        with frozen(self.critic):
            off = full_precision(self.critic.features(made) - self.critic.features(batch[0]).detach())
            distance = off.square().sum(-1).mean() / 2
            kl = divergence(site_of(guide_trace, self.latent), site_of(model_trace, self.latent)).mean()
            if self.part == "encoder":
                loss, verdict = kl + distance, kl.new_zeros(())
            else:
                drawn = drawn_images(model, batch, self.image)
                verdict = self.game.generator(numbers(self.critic, torch.cat([made, drawn]))).mean()
                loss = self.gamma * distance + verdict
        return loss, SimilarityTerms(kl.detach(), distance.detach(), verdict.detach())

    if TYPE_CHECKING:
        __call__ = forward


class SimilarityCriticLoss(CriticLoss):
    """The critic of a VAE/GAN: images made of codes and of draws of the prior are the fakes, half each.

    Args:
        critic, kind, kwargs: as for `CriticLoss`.
        image: the site of the images.
    """

    def __init__(self, critic: nn.Module, kind: Kind = "non-saturating", *, image: str = "x", **kwargs) -> None:
        super().__init__(critic, kind, **kwargs)
        self.image = image

    @torch.no_grad()
    def pair(self, model: Program, guide: Program, batch: tuple) -> tuple[Tensor, Tensor, tuple]:
        _, model_trace = trace_pair(model, guide, batch)
        made, drawn = site_of(model_trace, self.image)["fn"].mean, drawn_images(model, batch, self.image)
        return batch[0].repeat(2, *[1] * (batch[0].dim() - 1)), torch.cat([made, drawn]), ()


def drawn_images(model: Program, batch: tuple, image: str) -> Tensor:
    """Means of p(x given z) for draws of z from the prior, as many as examples."""
    return site_of(poutine.trace(model).get_trace(*batch), image)["fn"].mean
