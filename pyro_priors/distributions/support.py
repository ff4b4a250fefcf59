"""The values that a tensor ring can take."""

from torch import Tensor
from torch.distributions import constraints

from pyro_priors.distributions.kinds import variables_text
from pyro_priors.distributions.variables import Variables


class VariablesSupport(constraints.Constraint):
    """Finite values in continuous columns, states in discrete ones; NaN (missing) in either."""

    event_dim = 1

    def __init__(self, variables: Variables, columns: tuple[int, ...]):
        self.variables, self.columns = variables, columns
        self.is_discrete = not any(variables.is_continuous[c] for c in columns)

    def __repr__(self) -> str:  # torch's own cuts the first letter of the name
        return f"{type(self).__name__}({variables_text(self.variables.described(self.columns))})"

    def check(self, value: Tensor) -> Tensor:
        return ~self.variables.invalid(value, self.columns).any(-1)
