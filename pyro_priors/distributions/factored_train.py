"""The law of D variables on a train of factored cores."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.factored_chain import Emissions, FactoredChain
from pyro_priors.distributions.variables import Variables
from pyro_priors.ops import full_precision, holds


class FactoredTrain(ChainLaw):
    r"""Joint law of continuous (Gaussian mixture) and discrete variables on a train whose cores are factored.

    .. math:: p(x) = \sum_{i_1 .. i_D} \pi[i_1] \prod_j T_j[i_j, i_{j+1}]
              \prod_j \sum_s e_{k}[s, i_j] \, f_k(x_k \mid s), \qquad k = \mathtt{order}[j],

    the train of `TensorRing` with :math:`Q_k[s] = \operatorname{diag}(e_k[s])\, T`: the state of the bond emits the
    state of the variable, then moves on. A hidden Markov model with tables of its own at every place, normalised as it
    stands. Cost: O(sum_k N_k m + D m^2) a row, so that bonds may have hundreds of states.

    Shapes:
        as `TensorRing`: batch shape ``(*)``, event shape ``(D,)``.

    Note:
        NaN in a value means missing, and all else is as for `TensorRing`. Tables are probabilities: gradients with
        respect to them are those of the sum above, whatever they sum to, so that a probability times its gradient of
        log p(x) is how often it is expected to be used given x (the E-step of EM).

    References:
        Baum and Petrie, "Statistical inference for probabilistic functions of finite state Markov chains", 1966.
        TTLP: Kuznetsov et al., "Subset-Conditioned Generation Using Variational Autoencoder With A Learnable
        Tensor-Train Induced Prior", 2018, eq. 1.

    Args:
        initial: probabilities of the first bond's states, ``(m,)``.
        emissions: p(state of a variable given its bond's), D tensors ``(N_k, m)`` that sum to one over the first
            dimension, declared order; or one ``(D, N, m)``, where what a variable has no states for is left out. None
            for a variable, as a rule a vector, whose state is its bond's: Gaussian j belongs to state j of the bond.
        transitions: ``(D - 1, m, m)``, ``transitions[j]`` leads from position j of the chain to position j + 1; rows
            sum to one.
        variables: names, kinds and component parameters of the D columns.
        order: ``order[j]`` is the column at position j of the chain; declared order by default.

    Raises:
        ValueError: shapes that do not fit, an order that is no permutation, tables that are no probabilities,
            scale <= 0.

    See Also:
        `pyro_priors.TRIP` and `pyro_priors.TTLP` with ``cores="factored"``, the modules that own such parameters.

    Example:
        >>> from pyro_priors.distributions import Discrete, FactoredTrain, Variables
        >>> stay = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
        >>> variables = Variables({"rain": Discrete(2), "wet": Discrete(2)})
        >>> law = FactoredTrain(torch.tensor([0.5, 0.5]), torch.stack([torch.eye(2), stay]), stay[None], variables)
        >>> law.condition(rain=1).log_prob(torch.tensor([1.0])).exp()
        tensor(0.8200)
    """

    _chain: FactoredChain
    arg_constraints: ClassVar = {  # pyright: ignore (torch declares a property, its own laws do this)
        "initial": constraints.simplex,
        "transitions": constraints.independent(constraints.simplex, 2),
    }

    def __init__(
        self,
        initial: Tensor,
        emissions: Tensor | Sequence[Tensor | None] | Emissions,
        transitions: Tensor,
        variables: Variables,
        order: Sequence[int] | Tensor | None = None,
        validate_args: bool | None = None,
    ):
        if not isinstance(variables, Variables):
            raise ValueError(f"variables: expected Variables, got {type(variables).__name__}")
        self.initial, self.emissions, self.transitions = initial, emissions, transitions
        chain = FactoredChain(initial, emissions, transitions, variables.num_states, order)
        given = [emissions] if isinstance(emissions, Tensor) else getattr(emissions, "groups", emissions)
        tables = {"emissions" if len(given) == 1 else f"emissions[{k}]": table for k, table in enumerate(given)}
        tables = {name: table for name, table in tables.items() if table is not None}
        tables = {"initial": initial, "transitions": transitions, **tables}
        super().__init__(chain, variables, tables, validate_args)

    def _check_tables(self, tables: dict[str, Tensor]) -> None:
        initial, emissions, transitions, _ = self._chain.factored
        _check_probabilities(["initial"], initial[None], 1)
        _check_probabilities([f"transitions[{j}]" for j in range(len(transitions))], transitions, 2)
        for (_, columns), group in zip(self._chain.layout.groups, emissions, strict=True):
            if group is not None:
                _check_probabilities([f"emissions[{c}]" for c in columns], group, 1)
        self._chain.excludes = any(holds((table == 0).any()) for table in self._chain.factored.tensors)


def _check_probabilities(names: Sequence[str], tables: Tensor, dim: int) -> None:
    """`ValueError` where entries are negative or do not sum to one over a dimension, as far as their precision goes."""
    slack = max(1e-6, 8 * torch.finfo(tables.dtype).eps * tables.shape[dim] ** 0.5)
    tables = full_precision(tables.detach())
    total = tables.sum(dim)
    uneven, negative = ~((total - 1).abs() <= slack), ~(tables >= 0)  # NaN is wrong too
    for wrong, value, got in ((negative, tables, "an entry of"), (uneven, total, "a sum of")):
        if holds(wrong.any()):
            place = tuple(wrong.nonzero()[0].tolist())
            expected = f"probabilities that sum to one over dimension {dim - 1}"
            raise ValueError(f"{names[place[0]]}: expected {expected}, got {got} {value[place].item():.6g}")
