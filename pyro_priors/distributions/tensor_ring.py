"""The law of D variables whose joint states are weighted by a tensor ring or tensor train."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor
from torch.distributions import constraints

from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.full_chain import Boundary, FullChain
from pyro_priors.distributions.variables import Variables
from pyro_priors.ops import holds


class TensorRing(ChainLaw):
    r"""Joint law of continuous (Gaussian mixture) and discrete variables on a tensor ring or train.

    .. math:: p(x) = \frac{1}{Z} \operatorname{tr} \prod_k \sum_s Q_k[s] \, f_k(x_k \mid s),
              \qquad Q_k[s] = \exp(\mathtt{log\_cores}[k, s]),

    with :math:`f_k` Gaussian for a continuous variable and the indicator of :math:`x_k = s` for a discrete one. Every
    query is the one contraction of `pyro_priors.ops` with other weights per (variable, state), so the family is closed
    under conditioning and marginalising. Cost: O(sum_k (N_k + r) m^2) a row with r = m (ring) or 1 (train).

    Shapes:
        batch shape ``(*)`` (that of the evidence given so far, ``()`` at first), event shape ``(D,)``: the visible
        variables in declared order, whatever the order in the chain. Discrete states are floats 0..n-1.

    Note:
        NaN in a value means missing: summed out exactly, row by row (TRIP Algorithm 1). Integers and booleans are
        values too. Build the distribution afresh for every optimizer step: one that is older than its parameters raises
        `ValueError`. Parameters of 16 bits are computed with in 32, in which densities, probabilities and moments come
        back; draws have the parameters' type where it holds all states, else float32. `torch.func` and
        `torch.jit.trace` see ordinary operations, which is exact and slower. Cores of one state
        may differ by ``e^80`` (float32) or ``e^600`` (float64) among themselves, without limit between states.

    References:
        TRIP: Kuznetsov et al., "A Prior of a Googol Gaussians", 2019, eq. 1-5, arXiv:1910.13148.
        TTLP: Kuznetsov et al., "Subset-Conditioned Generation Using Variational Autoencoder With A Learnable
        Tensor-Train Induced Prior", 2018, eq. 1-8.

    Args:
        log_cores: D tensors ``(N_k, m_k, m_(k+1))``, core k belongs to column k and its bonds to the neighbours in the
            chain, or one ``(D, N, m, m)``; where a variable has fewer than N states the padding is finite, and left
            out before anything is computed.
        variables: names, kinds and component parameters of the D columns.
        boundary: ``"ring"`` closes with the trace, ``"train"`` with vectors of ones (TTLP eq. 1).
        order: ``order[j]`` is the column at position j of the chain; declared order by default.

    Raises:
        ValueError: shapes that do not fit, an order that is no permutation, values that are not finite, scale <= 0.

    See Also:
        `pyro_priors.TRIP` and `pyro_priors.TTLP`, the modules that own such parameters.

    Example:
        >>> import torch
        >>> from pyro_priors.distributions import Continuous, Discrete, TensorRing, Variables
        >>> loc, scale = torch.tensor([[-1.0, 1.0]]), torch.ones(1, 2)
        >>> variables = Variables({"z": Continuous(2), "digit": Discrete(3)}, loc, scale)
        >>> ring = TensorRing(torch.zeros(2, 3, 1, 1), variables)
        >>> ring.log_prob(torch.tensor([torch.nan, 2.0])).exp()
        tensor(0.3333)
        >>> ring.condition(digit=torch.tensor(2.0)).event_shape
        torch.Size([1])
    """

    arg_constraints: ClassVar = {  # pyright: ignore (torch declares a property, its own laws do this)
        "log_cores": constraints.independent(constraints.real, 4)
    }

    def __init__(
        self,
        log_cores: Tensor | Sequence[Tensor],
        variables: Variables,
        boundary: Boundary = "ring",
        order: Sequence[int] | Tensor | None = None,
        validate_args: bool | None = None,
    ):
        if not isinstance(variables, Variables):
            raise ValueError(f"variables: expected Variables, got {type(variables).__name__}")
        self.log_cores, self.boundary = log_cores, boundary
        chain = FullChain(log_cores, variables.num_states, boundary, order)
        given = [log_cores] if isinstance(log_cores, Tensor) else getattr(log_cores, "groups", log_cores)
        tables = {"log_cores" if len(given) == 1 else f"log_cores[{k}]": core for k, core in enumerate(given)}
        super().__init__(chain, variables, tables, validate_args)

    def _check_tables(self, tables: dict[str, Tensor]) -> None:
        if any(holds(~core.isfinite().all()) for core in tables.values()):
            raise ValueError("log_cores: expected finite values, got NaN or infinity")

    def _closing(self) -> str:
        return f"boundary={self.boundary}, "
