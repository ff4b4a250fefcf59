"""Expected counts of a factored chain, read off the gradients of a mean log-likelihood; what they make of its tables.

With tables that are softmaxes of logits the gradient of log p(x) with respect to a logit is a - p n, where a is how
often its entry is expected to be used, p the entry and n how often the bond was in the state that it belongs to. How
often a bond is in a state follows from the transitions before it, so that one walk along the chain gives all of a: the
E-step of EM, by the adjoint that training has anyway. Missing entries count as the law expects them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.ops import full_precision, wide


class Counts(NamedTuple):
    """Expected counts a row: probabilities' own shapes, and moments of the continuous columns."""

    initial: Tensor  # (m,), sums to one
    emissions: Tensor  # (S, m), group by group
    transitions: Tensor  # (D - 1, m, m)
    first: Tensor | None  # sum of x - origin a component, (C, N)
    second: Tensor | None  # sum of its square

    def towards(self, other: "Counts", step: float) -> "Counts":
        """Moved a part of the way to others."""
        moved = [None if a is None or b is None else a.lerp(b, step) for a, b in zip(self, other, strict=True)]
        return Counts(*moved)  # pyright: ignore[reportArgumentType] (only moments can be None)


@torch.no_grad()
def expected_counts(prior: Any, gradients: Mapping[str, Tensor], origin: Tensor | None = None) -> Counts:
    """Those of a `ChainPrior` of factored cores, from gradients of the mean of log p(x) over rows.

    `origin (C, N)`: where the moments of the components are taken about, such as their means of some time.
    """
    initial, emissions, transitions = prior.form.all_of(prior._tables())
    by_initial, by_emission, by_transition = prior.form.all_of(gradients)
    start = (by_initial + initial.softmax(0)).clamp_(min=0)
    probs, visits, used = transitions.softmax(-1), [start], torch.empty_like(transitions)
    for step, entry, gradient in zip(used.unbind(), probs.unbind(), by_transition.unbind(), strict=True):
        torch.addcmul(gradient, entry, visits[-1][:, None], out=step)
        step.clamp_(min=0)
        visits.append(step.sum(0))
    layout, order = prior._layout, range(len(visits)) if prior.order is None else prior.order.tolist()
    at = torch.stack(visits)[torch.tensor(order, device=initial.device).argsort()]  # (D, m), declared order
    groups = layout.split(emissions, 0)
    mass = [
        (gradient + table.softmax(1) * at[list(columns), None]).clamp_(min=0)
        for table, gradient, (_, columns) in zip(groups, layout.split(by_emission, 0), layout.groups, strict=True)
    ]
    counts = torch.cat([part.flatten(0, 1) for part in mass])
    if prior.loc is None or origin is None:
        return Counts(start, counts, used, None, None)
    scale, shift = wide(prior.log_scale).exp(), wide(prior.loc) - wide(origin)
    of_state = wide(component_mass(prior, counts))
    moved = wide(gradients["loc"]) * scale.square()  # sum of x - loc
    spread = (wide(gradients["log_scale"]) + of_state) * scale.square()  # sum of its square
    second = spread + 2 * shift * moved + of_state * shift.square()
    return Counts(start, counts, used, (moved + of_state * shift).to(counts), second.to(counts))


def component_mass(prior: Any, emissions: Tensor) -> Tensor:
    """How often each component of a continuous column is expected, ``(S, m) -> (C, N)``."""
    variables, result = prior._variables, torch.zeros_like(full_precision(prior.loc))
    for (states, columns), part in zip(prior._layout.groups, prior._layout.split(emissions.sum(-1)), strict=True):
        for column, row in zip(columns, part.unbind(), strict=True):
            if variables.is_continuous[column]:
                result[variables.continuous.index(column), :states] = row
    return result
