"""Parameters of the Gaussians of a vector variable."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyro_priors.distributions import Variables
from pyro_priors.distributions.diagonal_gaussians import DiagonalGaussians
from pyro_priors.distributions.full_gaussians import FullGaussians
from pyro_priors.distributions.gaussians import Gaussians
from pyro_priors.distributions.kinds import Vector, states_of
from pyro_priors.distributions.low_rank_gaussians import LowRankGaussians
from pyro_priors.modules.factors import factor_of, log_scale_of, packed_size, parameters_of, scale_of
from pyro_priors.modules.ownership import own
from pyro_priors.modules.rescaling import rescale_gaussians
from pyro_priors.modules.starting.vector_mixture import VectorRows
from pyro_priors.ops import full_precision, wide
from pyro_priors.ops.gaussians import inverse_lower

LOADING = 0.1  # standard deviation of the loadings of a low-rank covariance at the start


class VectorLeaf(nn.Module):
    """Owner of the Gaussians of one vector of n numbers and N states.

    ``loc (N, n)``, ``log_scale (N, n)``: of each number (diagonal), of each given those before it (full), or of what
    the factors leave (low-rank); ``coupling (N, n (n - 1) / 2)`` (full, see `factor_of`), ``loadings (N, n, q)``
    (low-rank). The scales are ``exp(log_scale) + 1e-4``, so that no density is unbounded where a number is constant:
    see `scale_of`.

    Args:
        kind: the variable.
        scale: standard deviation of the components at the start, about means uniform on [-1, 1].
        fixed: buffers instead of parameters.

    Attributes:
        centre, basis: what the parameters of full covariances are relative to, `lean`; None: to nothing.
    """

    centre: Tensor | None
    basis: Tensor | None
    loc: Tensor
    log_scale: Tensor
    coupling: Tensor | None
    loadings: Tensor | None

    def __init__(self, kind: Vector, scale: float, fixed: bool):
        super().__init__()
        self.kind, states = kind, states_of(kind)
        shape = (states, kind.size)
        own(self, "loc", torch.rand(shape) * 2 - 1, fixed)
        own(self, "log_scale", torch.full(shape, scale).log(), fixed)
        full, low = kind.covariance == "full", kind.covariance == "low-rank"
        own(self, "coupling", torch.zeros(states, packed_size(kind.size)) if full else None, fixed or kind.size == 1)
        own(self, "loadings", LOADING * torch.randn(*shape, kind.factors or 1) if low else None, fixed)
        self.register_buffer("centre", None, persistent=False)
        self.register_buffer("basis", None, persistent=False)

    def forward(self) -> Gaussians:
        if self.coupling is not None:
            factor = factor_of(self.log_scale, self.coupling)
            if self.basis is None or self.centre is None:
                return FullGaussians(self.loc, factor)
            loc = self.centre + full_precision(self.loc) @ self.basis.mT
            return FullGaussians(loc, factor @ inverse_lower(wide(self.basis)).to(factor))
        scale = scale_of(self.log_scale)
        if self.loadings is not None:
            return LowRankGaussians(self.loc, self.loadings, scale)
        return DiagonalGaussians(self.loc, scale)

    @torch.no_grad()
    def set(self, gaussians: Gaussians) -> None:
        """Take the parameters of other Gaussians of the same kind."""
        if self.coupling is not None:
            assert isinstance(gaussians, FullGaussians)
            loc, factor = gaussians.loc, gaussians.factor
            if self.basis is not None and self.centre is not None:
                basis = wide(self.basis)
                loc = (wide(loc) - wide(self.centre)) @ inverse_lower(basis).mT
                factor = wide(factor) @ basis
            log_scale, coupling = parameters_of(factor)
            self.loc.copy_(loc)
            self.log_scale.copy_(log_scale)
            self.coupling.copy_(coupling)
            return
        assert isinstance(gaussians, DiagonalGaussians | LowRankGaussians)
        self.loc.copy_(gaussians.loc)
        self.log_scale.copy_(log_scale_of(gaussians.scale))
        if self.loadings is not None:
            assert isinstance(gaussians, LowRankGaussians)
            self.loadings.copy_(gaussians.loadings)

    @torch.no_grad()
    def rescale(self, shift: Tensor, scale: Tensor) -> None:
        """Make the Gaussians of x those of (x - shift) / scale, of ``(n,)`` each."""
        spread = scale_of(self.log_scale) / scale
        rescale_gaussians(self, shift, scale)
        if self.coupling is None:
            self.log_scale.copy_(log_scale_of(spread))
        if self.loadings is not None:
            self.loadings.div_(scale.unsqueeze(-1).to(self.loadings))

    @torch.no_grad()
    def lean(self, centre: Tensor | None, basis: Tensor | None) -> None:
        """Let the parameters be those of y where x = centre + basis y; the Gaussians of x stay what they are.

        With a Cholesky factor of the covariance of all rows y is uncorrelated, and a step of the same size is as good
        for numbers that hardly vary given others as for all. Not in files: undone by None before it is written.

        Args:
            centre, basis: ``(n,)`` and ``(n, n)``, lower triangular with a positive diagonal; None: y is x.
        """
        gaussians = self()
        self.centre, self.basis = (None if x is None else x.to(self.loc) for x in (centre, basis))
        self.set(gaussians)

    def along(self, x: Tensor) -> Tensor:
        """y of numbers x, ``(n, size) -> (n, size)``, as `lean` has it."""
        if self.basis is None or self.centre is None:
            return x
        return ((wide(x) - wide(self.centre)) @ inverse_lower(wide(self.basis)).mT).to(x)

    def narrowness(self, variance: Tensor) -> Tensor:
        """Log density, up to a constant, of a row at each mean that has the variance ``(n,)`` there, summed.

        Along a basis the row has the covariance that the basis is a factor of.
        """
        if self.basis is not None and self.coupling is not None:
            own = factor_of(self.log_scale, self.coupling)
            return own.diagonal(dim1=-2, dim2=-1).log().sum() - 0.5 * own.square().sum()
        law = self()
        if isinstance(law, LowRankGaussians):
            law = law.full()
        if not isinstance(law, FullGaussians):
            own = law.moments()[1]
            return -0.5 * (own.log() + variance / own).sum()
        log_det = law.factor.diagonal(dim1=-2, dim2=-1).log().sum()
        return log_det - 0.5 * (law.factor.square() @ variance.to(law.factor)).sum()

    def extra_repr(self) -> str:
        return f"{self.kind}"


def gaussians_by_leaf(leaves: Sequence[VectorLeaf]) -> list[Gaussians]:
    """What each leaf returns; the factors of full covariances of one size are made together."""
    couplings = [leaf.coupling for leaf in leaves if leaf.coupling is not None and leaf.basis is None]
    if len(leaves) == 1 or len(couplings) < len(leaves) or len({leaf.loc.shape for leaf in leaves}) > 1:
        return [leaf() for leaf in leaves]
    factors = factor_of(torch.stack([leaf.log_scale for leaf in leaves]), torch.stack(couplings))
    return [FullGaussians(leaf.loc, factor) for leaf, factor in zip(leaves, factors.unbind(), strict=True)]


def vector_rows(value: Tensor, variables: Variables, variable: int) -> VectorRows:
    """What rows ``(n, C)`` know of a vector."""
    kind = variables.kinds[variable]
    assert isinstance(kind, Vector)
    return VectorRows(value[:, list(variables.columns_of[variable])], kind.covariance, kind.factors)


def gaussians_of(parameters: Sequence[Tensor], rows: VectorRows) -> Gaussians:
    """Those of parameters as `VectorMixture` has them."""
    laws = {"full": FullGaussians, "diagonal": DiagonalGaussians, "low-rank": LowRankGaussians}
    return laws[rows.covariance](*parameters)
