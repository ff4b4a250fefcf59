"""Expected counts of a factored chain, read off the gradients of a mean log-likelihood; what they make of its tables.

With tables that are softmaxes of logits the gradient of log p(x) with respect to a logit is a - p n, where a is how
often its entry is expected to be used, p the entry and n how often the bond was in the state that it belongs to. How
often a bond is in a state follows from the transitions before it, so that one walk along the chain gives all of a: the
E-step of EM, by the adjoint that training has anyway. Missing entries count as the law expects them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyro_priors.modules.em.factor_moments import FactorGradients
from pyro_priors.modules.em.vector_moments import VectorGradients, joined
from pyro_priors.ops import full_precision, wide


class Counts(NamedTuple):
    """Expected counts a row: probabilities' own shapes, and moments of the continuous columns and of vectors."""

    initial: Tensor  # (m,), sums to one
    emissions: Tensor  # (S, m), group by group, of variables that have states of their own
    transitions: Tensor  # (D - 1, m, m)
    first: Tensor | None  # sum of x - origin a component, (C, N)
    second: Tensor | None  # sum of its square
    vectors: Tensor | None = None  # of each vector the sums of x - origin and what its gradients say beside them

    def towards(self, other: "Counts", step: float) -> "Counts":
        """Moved a part of the way to others."""
        moved = [None if a is None or b is None else a.lerp(b, step) for a, b in zip(self, other, strict=True)]
        return Counts(*moved)  # pyright: ignore[reportArgumentType] (only moments can be None)


@torch.no_grad()
def expected_counts(
    prior: Any,
    gradients: Mapping[str, Tensor],
    origin: Tensor | None = None,
    vectors: Sequence[tuple[VectorGradients | FactorGradients, Tensor]] = (),
) -> Counts:
    """Those of a `ChainPrior` of factored cores, from gradients of the mean of log p(x) over rows.

    `origin (C, N)`: where the moments of the components are taken about, such as their means of some time; of each
    vector its gradients and its origin, ``(N, n)``.
    """
    form = prior.form
    initial, emissions, transitions = form.all_of(prior._tables())
    by_initial, by_emission, by_transition = form.all_of(gradients)
    start = (by_initial + initial.softmax(0)).clamp_(min=0)
    probs, before, used = transitions.softmax(-1), start, torch.empty_like(transitions)
    for step, entry, gradient in zip(used.unbind(), probs.unbind(), by_transition.unbind(), strict=True):
        torch.addcmul(gradient, entry, before[:, None], out=step)
        step.clamp_(min=0)
        before = step.sum(0)
    at = visits(prior, start, used)
    mass = [
        (gradient + table.softmax(1) * at[list(columns), None]).clamp_(min=0)
        for table, gradient, (_, columns) in zip(
            form.split(emissions), form.split(by_emission), form.tabled, strict=True
        )
    ]
    counts = torch.cat([part.flatten(0, 1) for part in mass]) if mass else by_emission
    of_vectors = zip(prior._variables.vectors, prior.vectors, vectors, strict=True) if vectors else ()
    sums = [part.sums(at[v], wide(leaf.loc) - wide(about)) for v, leaf, (part, about) in of_vectors]
    moments = joined(sums).to(counts) if sums else None
    if prior.loc is None or origin is None:
        return Counts(start, counts, used, None, None, moments)
    scale, shift = wide(prior.log_scale).exp(), wide(prior.loc) - wide(origin)
    of_state = wide(component_mass(prior, counts))
    moved = wide(gradients["loc"]) * scale.square()  # sum of x - loc
    spread = (wide(gradients["log_scale"]) + of_state) * scale.square()  # sum of its square
    second = spread + 2 * shift * moved + of_state * shift.square()
    return Counts(start, counts, used, (moved + of_state * shift).to(counts), second.to(counts), moments)


def visits(prior: Any, initial: Tensor, transitions: Tensor) -> Tensor:
    """How often the bond of each variable, as declared, is in each state: ``(m,), (D - 1, m, m) -> (D, m)``"""
    along = torch.stack([initial, *(step.sum(0) for step in transitions.unbind())])
    return along if prior.order is None else along[prior.order.argsort()]


def component_mass(prior: Any, emissions: Tensor) -> Tensor:
    """How often each component of a continuous column is expected, ``(S, m) -> (C, N)``."""
    variables, result = prior._variables, torch.zeros_like(full_precision(prior.loc))
    for (states, columns), part in zip(prior.form.tabled, prior.form.split(emissions.sum(-1)), strict=True):
        for column, row in zip(columns, part.unbind(), strict=True):
            if variables.is_continuous[variables.columns_of[column][0]]:
                place = variables.columns_of[column][0]
                result[variables.continuous.index(place), :states] = row
    return result
