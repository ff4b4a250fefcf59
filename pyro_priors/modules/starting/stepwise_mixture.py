"""A mixture of product laws by stepwise EM over small batches: a start for chains in a second, of many rows too."""

import math

import torch
from torch import Tensor

from pyro_priors.distributions import Variables
from pyro_priors.modules.starting.initialise import ProductMixture, fit_leaves
from pyro_priors.ops.layout import Layout, layout_of

EPOCHS, BATCH = 15, 1024
LEAF_ROWS = 5000  # that the components of continuous columns are fitted to
ROWS = 50_000  # of which the mixture is made, where there are more
OWN = 0.3  # how much a cluster is at first like the row that it starts from
STEP = 0.6  # the first step size, which falls along a line
TINY = 1e-30
PSEUDO = 1.0  # rows of a column's own law that each cluster has seen


def stepwise_mixture(value: Tensor, variables: Variables, clusters: int) -> ProductMixture:
    """Clusters start at rows drawn at random; components of continuous columns stay where 1-D mixtures put them.

    Takes data ``(n, D)``, NaN = missing. Cost: O(n S G) an epoch for S states of all variables.

    References:
        Cappé, Moulines, "On-line expectation-maximization algorithm for latent data models", 2009, arXiv:0712.4273.
    """
    layout = layout_of(variables.num_states)
    loc, scale = fit_leaves(value[drawn(len(value), LEAF_ROWS)], variables)
    value = value[drawn(len(value), ROWS)]
    count, leaves = len(value), Leaves(variables.bind(loc, scale))
    usual = leaves.usual(value)
    probs = normalised(OWN * leaves(value[torch.randint(count, (clusters,))]).T + (1 - OWN) * usual[:, None], layout)
    log_mix = value.new_full((clusters,), -math.log(clusters))
    counts, sizes = torch.zeros_like(probs), torch.zeros_like(log_mix)
    batches = [rows for _ in range(EPOCHS) for rows in torch.randperm(count, device="cpu").split(BATCH)]
    for done, rows in enumerate(batches):
        weights = leaves(value[rows])
        score, fits = leaves.score(weights, probs, log_mix)
        shares = score.softmax(-1)
        used = leaves.used(weights, probs, fits, shares)
        size = max(STEP * (1 - done / len(batches)), min(1.0, BATCH / count)) if done else 1.0
        counts.lerp_(used / len(rows), size)
        sizes.lerp_(shares.sum(0) / len(rows), size)
        probs = normalised(counts + PSEUDO / count * usual[:, None], layout)
        log_mix = (sizes + 1 / (count * clusters)).log().log_softmax(0)
    return ProductMixture(loc, scale, [part.log() for part in layout.split(probs, 0)], log_mix)


class Leaves:
    """Rows as weights of all states ``(n, S)``: those of a variable sum to one, or to zero where it is missing."""

    def __init__(self, variables: Variables) -> None:
        self.variables, self.layout = variables, layout_of(variables.num_states)
        self.soft = [any(variables.is_continuous[c] for c in columns) for _, columns in self.layout.groups]

    def __call__(self, value: Tensor) -> Tensor:
        parts = []
        for (states, columns), soft in zip(self.layout.groups, self.soft, strict=True):
            part = value[:, list(columns)]
            log_weights = self.variables.log_evidence(part, columns, states)
            weights = log_weights.softmax(-1) if soft else log_weights.exp()
            parts.append(weights.masked_fill(part.isnan().unsqueeze(-1), 0.0))
        return self.layout.join(parts)

    def usual(self, value: Tensor) -> Tensor:
        """How often each state occurs, of each variable, ``(S,)``."""
        summed = torch.stack([self(part).sum(0) for part in value.split(BATCH)]).sum(0)
        return normalised(summed[:, None] + 1e-3, self.layout)[:, 0]

    def score(self, weights: Tensor, probs: Tensor, log_mix: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """Log-weight of each cluster for each row, and how well it fits variables with components, for `used`.

        Shapes:
            ``weights (n, S), probs (S, G), log_mix (G,)`` -> ``(n, G)``, and of each group ``(n, D_g, G)`` or None
        """
        score, fits = log_mix, []
        for weight, prob, soft in self._groups(weights, probs):
            if soft:
                fits.append(torch.einsum("nds,dsg->ndg", weight, prob))
                missing = weight.sum(-1, keepdim=True) == 0
                score = score + fits[-1].masked_fill(missing, 1.0).clamp(min=TINY).log().sum(1)
            else:
                fits.append(None)
                score = score + weight.flatten(1) @ prob.flatten(0, 1).log()
        return score, fits

    def used(self, weights: Tensor, probs: Tensor, fits: list[Tensor | None], shares: Tensor) -> Tensor:
        """How often each cluster uses each state, where rows belong to it by their ``shares (n, G)``. ``-> (S, G)``"""
        used = [
            (weight.flatten(1).mT @ shares).unflatten(0, prob.shape[:2])
            if fit is None
            else torch.einsum("nds,ndg->dsg", weight, shares[:, None] / fit.clamp(min=TINY)) * prob
            for (weight, prob, _), fit in zip(self._groups(weights, probs), fits, strict=True)
        ]
        return torch.cat([part.flatten(0, 1) for part in used])

    def _groups(self, weights: Tensor, probs: Tensor) -> list[tuple[Tensor, Tensor, bool]]:
        return list(zip(self.layout.split(weights), self.layout.split(probs, 0), self.soft, strict=True))


def drawn(count: int, most: int) -> Tensor:
    return torch.randperm(count, device="cpu")[:most]


def normalised(counts: Tensor, layout: Layout) -> Tensor:
    """``(S, G)``, each variable's sum one."""
    parts = [part / part.sum(1, keepdim=True) for part in layout.split(counts, 0)]
    return torch.cat([part.flatten(0, 1) for part in parts]).clamp_(min=TINY)
