"""A conditional variational autoencoder that learns from images without labels too (M2)."""

import math
from collections.abc import Mapping
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyro_priors import Discrete
from pyro_priors.distributions.kinds import Kind
from pyro_priors.networks.attribute_numbers import attribute_numbers
from pyro_priors.ops import full_precision
from pyro_priors.programs.autoregressive import pixel_law, spread
from pyro_priors.programs.cvae import CVAE
from pyro_priors.programs.likelihoods import Likelihood

MOST = 1024  # configurations of the attributes, each a pass of encoder and decoder where nothing is known
IMPOSSIBLE = -1e5  # log-probability that is 0 as a probability, and finite: 0 times infinity has no gradient


class SemiSupervisedVAE(CVAE):
    """The parts of `CVAE`; missing attributes are latent, inferred by the predictor q(y given x) and summed out: M2.

    y ~ attribute_prior(), z ~ prior(), x ~ likelihood(decoder(z, y)); the guide is q(y_un given x, y_ob) q(z given
    x, y). Where labels are missing, all of their configurations are gone through: with `ELBO(enumerate=True)`, or
    Pyro's `TraceEnum_ELBO(max_plate_nesting=1)`, the bound of every row is exact in y,

        L(x, y_ob) = sum over y_un of q(y_un given x, y_ob) [ log p(y) - log q(y_un given x, y_ob) +
        E_q log p(x given z, y) - KL(q(z given x, y), p(z)) ]

    which is a single term where all labels are known. In it the predictor infers what is missing and would never learn
    from a label: in training mode `label_weight` log q(y_ob given x) is added (eq. 9).

    Cost: encoder and decoder run once for each configuration of what is missing of an image: 10 times for a digit that
    is missing, once for a known one.

    Note:
        Under a plain ELBO the missing attributes are drawn, and their gradient is that of the score function. In
        evaluation mode what is scored is a bound on log p(x, y_ob). What images without labels say of the predictor is
        whatever groups them well, and it grows sure of that: where labels are few, or epochs, a larger `label_weight`
        lets labels say first what the groups are. Choose it on the validation part.

    References:
        Kingma, Rezende, Mohamed, Welling, "Semi-supervised learning with deep generative models", NIPS 2014,
        arXiv:1406.5298, eq. 5-9.

    Args:
        encoder, decoder, prior, attribute_prior, predictor, likelihood, name: as in `CVAE`; the law of the encoder is
            a diagonal Gaussian, and all attributes are discrete.
        label_weight: weight of a row's log q(y_ob given x). The paper's alpha = 0.1 N times the mean over labelled
            rows: 0.1 N / N_l for each of N_l among N rows, as in the authors' code. 0.1 is that of labels all known.

    Attributes:
        validates: whether that term counts in evaluation mode too, as for the validation of a training.

    Raises:
        ValueError: as `CVAE`; an attribute that is not discrete; more than 1,024 configurations of the attributes;
            label_weight is negative.

    Example:
        >>> import pyro_priors as pp
        >>> from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
        >>> from pyro_priors.objectives import ELBO
        >>> from pyro_priors.programs import ConvClassifier
        >>> attributes = {"digit": pp.Discrete(10)}
        >>> features = SemiSupervisedVAE.attribute_features(attributes)
        >>> vae = SemiSupervisedVAE(
        ...     GatedMLPEncoder((1 + features, 28, 28), 4), GatedMLPDecoder(4 + features, (1, 28, 28)),
        ...     pp.StandardNormal(4), pp.TTLP(0, attributes), ConvClassifier((1, 28, 28), attributes, channels=4),
        ... )
        >>> x, y = torch.rand(3, 1, 28, 28), torch.tensor([[3.0], [torch.nan], [torch.nan]])
        >>> loss, terms = ELBO(enumerate=True)(vae.model, vae.guide, x, y)
        >>> vae.generate(3, digit=torch.tensor([3.0, 7.0, torch.nan])).shape
        torch.Size([3, 1, 28, 28])
    """

    configurations: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module,
        attribute_prior: nn.Module,
        predictor: nn.Module,
        likelihood: Likelihood | nn.Module = "bernoulli",
        name: str | None = None,
        *,
        label_weight: float = 0.1,
    ) -> None:
        if not label_weight >= 0:
            raise ValueError(f"label_weight: expected 0 or more, got {label_weight!r}")
        super().__init__(encoder, decoder, prior, attribute_prior, predictor, likelihood, name)
        self.label_weight, self.validates = label_weight, False
        self.register_buffer("configurations", configurations_of(self.attributes), persistent=False)

    def model(self, x: Tensor | None = None, y: Tensor | None = None, n: int | None = None) -> Tensor:
        """p(y) p(z) p(x given z, y). Sites "y", "completion", "z" and "x" in the plate "data".

        "y" scores what is known, with NaN summed out; "completion" is which of `configurations` all attributes are,
        given that. In training there is "y_given_x" too, and under `no_grad` "y_imputed", these attributes.

        Args:
            x, y, n: as in `CVAE.model`.
        """
        pyro.module(self.name, self)
        law = self.attribute_prior()
        with pyro.plate("data", self._rows(x, y, n)):
            y = pyro.sample("y", law, obs=y)
            if (self.training or self.validates) and x is not None:
                pyro.factor("y_given_x", self.label_weight * self.predictor(x).log_prob(y))
            full, possible = self._complete(law, y)
            if not torch.is_grad_enabled():  # wanted by Predictive; a training step has no use for it
                pyro.deterministic("y_imputed", full, event_dim=1)
            z = pyro.sample("z", self.prior())
            return pyro.sample("x", self._decode(z, full, possible), obs=x)

    def guide(self, x: Tensor | None = None, y: Tensor | None = None, n: int | None = None) -> Tensor:
        """q(y_un given x, y_ob) q(z given x, y). Takes the arguments of `model`, and needs x."""
        x = self._seen(x)
        with pyro.plate("data", rows := self._rows(x, y, n)):
            y = x.new_full((rows, len(self.attributes)), torch.nan) if y is None else y
            full, possible = self._complete(self.predictor(x), y, summed=True)
            return pyro.sample("z", self._encode(x, full, possible))

    def _complete(self, law: Any, y: Tensor, *, summed: bool = False) -> tuple[Tensor, Tensor]:
        """Draw "completion" from a law of the attributes given those that are known, or where `summed` enumerate it.

        Returns:
            all attributes, known ones as they are, `(*, n_attributes)`; which of them are possible, `(*)`: an
            enumeration goes through all configurations, also those that a row rules out
        """
        y = full_precision(y if y.is_floating_point() else y.float())
        rows = self.configurations.to(y)
        log_probs = law.log_prob(rows.unsqueeze(1)).movedim(0, -1)  # (batch or 1, S)
        known = ~y.isnan()
        possible = ((y.unsqueeze(-2) == rows) | ~known.unsqueeze(-2)).all(-1)
        if not (fits := possible.any(-1)).all():
            raise ValueError(f"y: expected categories of {dict(self.attributes)}, got {y[~fits][0].tolist()}")
        log_probs = torch.where(possible, log_probs, -math.inf).log_softmax(-1)
        site = dist.Categorical(logits=torch.where(possible, log_probs, IMPOSSIBLE))
        drawn = rows[pyro.sample("completion", site, infer={"enumerate": "parallel"} if summed else {})]
        full = torch.where(known, y, drawn)
        return full, (full == drawn).all(-1)

    def _encode(self, x: Tensor, full: Tensor, possible: Tensor) -> dist.TorchDistribution:
        """q(z given x, y) where y is possible, N(0, I) elsewhere: the encoder runs on no more than counts."""
        images = x.expand(*possible.shape, *x.shape[-3:])[possible]
        law = self._encode_beside(images, full[possible])
        loc, scale = spread(law.mean, possible), spread(law.stddev, possible, 1.0)
        return dist.Normal(loc, scale).to_event(1)

    def _decode(self, z: Tensor, full: Tensor, possible: Tensor) -> dist.TorchDistribution:
        """p(x given z, y) where y is possible, of raw numbers 0 elsewhere: the decoder runs on no more than counts."""
        numbers = attribute_numbers(full, self.attributes).to(z.dtype).expand(*z.shape[:-1], -1)
        both = torch.cat([z, numbers], -1)
        return pixel_law(self.decoder, self.likelihood, both, where=possible.expand(z.shape[:-1]))


def configurations_of(attributes: Mapping[str, Kind]) -> Tensor:
    """All rows that discrete attributes can be: integers `(S, n_attributes)`.

    Raises:
        ValueError: an attribute that is not discrete, or more than 1,024 rows.

    Example:
        >>> configurations_of({"sex": Discrete(2), "side": Discrete(2)}).tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    for name, kind in attributes.items():
        if not isinstance(kind, Discrete):
            raise ValueError(f"attributes: expected discrete ones, which can be summed over, got {name}: {kind}")
    counts = [kind.categories for kind in attributes.values() if isinstance(kind, Discrete)]
    if math.prod(counts) > MOST:
        raise ValueError(
            f"attributes: expected at most {MOST} configurations of them, which are summed over, got "
            f"{math.prod(counts)} ({' x '.join(map(str, counts))})"
        )
    return torch.cartesian_prod(*map(torch.arange, counts)).reshape(-1, len(counts))
