"""The law of D variables whose joint states are weighted by a tensor ring or tensor train."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_priors.checks import check_broadcast
from pyro_priors.distributions.evidence import Evidence, as_floats, as_tensor, check_width, fits
from pyro_priors.distributions.kinds import order_text, variables_text
from pyro_priors.distributions.ordered_chain import Boundary, OrderedChain
from pyro_priors.distributions.support import VariablesSupport
from pyro_priors.distributions.variables import Variables
from pyro_priors.distributions.versions import Versions
from pyro_priors.ops import full_precision, holds


class TensorRing(TorchDistribution):
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
        log_cores: D tensors ``(N_k, m, m)``, core k belongs to column k, or one ``(D, N, m, m)``; where a variable has
            fewer than N states the padding is finite, and left out before anything is computed.
        variables: names, kinds and component parameters of the D columns.
        boundary: ``"ring"`` closes with the trace, ``"train"`` with vectors of ones (TTLP eq. 1).
        order: ``order[j]`` is the column at position j of the chain; declared order by default.

    Raises:
        ValueError: shapes that do not fit, an order that is no permutation, values that are not finite, scale <= 0.

    See Also:
        `pyro_priors.TRIP` and `pyro_priors.TTLP`, the modules that own such parameters.

    Example:
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
        self.log_cores, self.variables, self.boundary = log_cores, variables, boundary
        self._chain = OrderedChain(log_cores, variables.num_states, boundary, order)
        self._cores = self._chain.cores
        self._evidence = Evidence(variables, self._cores)
        given = [log_cores] if isinstance(log_cores, Tensor) else getattr(log_cores, "groups", log_cores)
        named = {"log_cores" if len(given) == 1 else f"log_cores[{k}]": core for k, core in enumerate(given)}
        self._versions = Versions(type(self).__name__, **named, loc=variables.loc, scale=variables.scale)
        self.has_rsample = self._evidence.all_continuous
        super().__init__(torch.Size(), torch.Size((len(variables),)), validate_args=False)
        if validate_args is None:
            del self._validate_args  # as the default is
        else:
            self._validate_args = validate_args
        if self._validate_args:  # here, since torch would look at one tensor, and at values that a transform hides
            if any(holds(~core.isfinite().all()) for core in given):
                raise ValueError("log_cores: expected finite values, got NaN or infinity")
            variables.check_parameters()

    @constraints.dependent_property(event_dim=1)
    def support(self):  # pyright: ignore[reportIncompatibleMethodOverride] (as those of torch)
        if self._evidence.all_continuous:
            return constraints.real_vector
        return VariablesSupport(self.variables, self._evidence.columns)

    def expand(self, batch_shape, _instance=None):
        batch_shape = torch.Size(batch_shape)
        try:
            fits = torch.broadcast_shapes(self.batch_shape, batch_shape) == batch_shape
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(f"batch_shape: cannot expand {tuple(self.batch_shape)} to {tuple(batch_shape)}")
        return self._derive(batch_shape=batch_shape)

    def __repr__(self) -> str:
        columns, every = self._evidence.columns, len(self.variables)
        shown = variables_text(self.variables.described(columns))
        left = "" if len(columns) == every else f", {len(columns)} of {every} columns"
        return (
            f"{type(self).__name__}({shown}{left}, rank={self._cores.rank}, boundary={self.boundary}, "
            f"order={order_text(self._chain.order)}, batch_shape={tuple(self.batch_shape)})"
        )

    # ---- densities and samples

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the entries that are not NaN; a row without any scores exactly 0. ``(*, D) -> (*)``"""
        value = self._checked(value)
        evidence = self._evidence.given(value)
        total, log_normalizer = self._contract(evidence)
        score = (total - log_normalizer).to(self._dtype(evidence))
        # The two contractions of a row without entries may round differently.
        score = score.masked_fill(value.isnan().all(-1), 0.0)
        return score.expand(torch.broadcast_shapes(score.shape, self.batch_shape))

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Exact draws. ``-> (*sample_shape, *batch_shape, D)``"""
        shape = torch.Size(sample_shape) + self.batch_shape
        return self._draw(self._evidence.log_weights, shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws with pathwise gradients to cores, loc, scale and evidence, to first order only.

        Raises:
            NotImplementedError: a visible variable is discrete.
        """
        shape = torch.Size(sample_shape) + self.batch_shape
        if not self._evidence.all_continuous:
            raise NotImplementedError("rsample: pathwise gradients need continuous variables; use sample, or marginal")
        draws = self.sample(sample_shape)
        if not torch.is_grad_enabled():
            return draws
        index, every = self._evidence.index(), len(self.variables)
        loc, scale = (self._by_column(leaf) for leaf in self.variables.leaves(*self._leaves()))
        exact = full_precision(draws)
        full = exact.new_zeros(*shape, every).index_copy(-1, index, exact)
        visible = [c in self._evidence.columns for c in range(every)]
        moved = self._chain.pathwise(full, visible, loc, scale, self._evidence.log_weights)
        return moved.index_select(-1, index).to(draws.dtype)

    @property
    def mean(self) -> Tensor:
        """Exact for continuous variables, NaN for discrete ones."""
        return self._moments()[0].expand(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Tensor:
        """Exact for continuous variables, NaN for discrete ones."""
        return self._moments()[1].expand(self.batch_shape + self.event_shape)

    # ---- queries

    def marginal(self, names: str | int | Iterable[str | int]) -> "TensorRing":
        """The law of some of the variables; columns in declared order whatever the order asked.

        Args:
            names: a variable, a block, a column index of the present event, or a sequence of these.

        Raises:
            ValueError: an unknown name, a column that is not there, a column asked twice, nothing asked.
        """
        wanted = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
        columns = [c for name in wanted for c in self._evidence.resolve(name)]
        if not columns or len(set(columns)) < len(columns):
            raise ValueError(f"names: expected at least one variable, each once, got {names!r}")
        return self._derive(columns=tuple(sorted(columns)))

    def condition(self, **given: Tensor | float) -> "TensorRing":
        """The law of the other variables given these; NaN in a given value = not observed (summed out).

        Args:
            given: a variable's value ``(*)`` or a block's ``(*, n)``, floats, integers or booleans; the batch shape is
                their broadcast.

        Raises:
            ValueError: an unknown name, a variable given twice, a wrong size, an impossible value, nothing left.
        """
        columns, values = [], []
        for name, value in given.items():
            block = self._evidence.resolve(name)
            if set(block) & set(columns):
                raise ValueError(f"{name}: given twice: another argument already covers it")
            try:
                value = as_tensor(value, self._cores.device)
            except (RuntimeError, TypeError, ValueError):
                raise ValueError(f"{name}: expected a tensor or a number, got {value!r}") from None
            value = as_floats(value, self._cores.dtype)
            value = value.unsqueeze(-1) if self.variables.is_single(name) else value
            if value.dim() == 0 or value.shape[-1] != len(block):
                raise ValueError(f"{name}: expected a last dimension of {len(block)}, got shape {tuple(value.shape)}")
            check_width(self.variables, value, block)
            columns += block
            values.append(value)
        left = tuple(c for c in self._evidence.columns if c not in columns)
        if not left:
            raise ValueError("condition: every variable is given, nothing is left; log_prob is what you may want")
        if not given:
            return self
        lead = check_broadcast("given values", *(value.shape[:-1] for value in values), self.batch_shape)
        value = torch.cat([value.expand(*lead, value.shape[-1]) for value in values], -1)
        value = self._checked(value, tuple(columns))
        return self._derive(columns=left, log_weights=self._possible(value, tuple(columns)))

    def weigh(self, log_weights: Tensor) -> "TensorRing":
        """Soft evidence: each state of each visible variable multiplied by ``exp(log_weights)``.

        Shapes:
            ``log_weights (*, D, N)``, N that of the widest; entries for states that a variable does not have are
            ignored.

        Raises:
            ValueError: another shape, NaN or +infinity, a variable all of whose states are excluded.
        """
        size = (len(self._evidence.columns), self._width())
        if not isinstance(log_weights, Tensor) or log_weights.shape[-2:] != size:
            got = tuple(log_weights.shape) if isinstance(log_weights, Tensor) else type(log_weights).__name__
            raise ValueError(f"log_weights: expected a tensor of shape (*, {size[0]}, {size[1]}), got {got}")
        if log_weights.dtype == torch.bool:
            raise ValueError("log_weights: expected logarithms of weights, got booleans")
        check_broadcast("log_weights", log_weights.shape[:-2], self.batch_shape)
        parts = self._evidence.layout.unpadded(log_weights, self._evidence.columns)
        wrong = [holds((part.isnan() | (part == torch.inf)).any()) for _, part in parts] if self._validate_args else []
        if any(wrong):
            raise ValueError("log_weights: expected finite values or -inf, got NaN or inf")
        evidence = self._evidence.plus(parts)
        return self._derive(log_weights=self._evidence.check_possible(evidence) if self._validate_args else evidence)

    def impute(self, value: Tensor, sample_shape: Sequence[int] = ()) -> Tensor:
        """``value`` with its NaNs filled by a joint draw from p(missing given observed); the rest bit for bit.

        Shapes:
            ``(*, D) -> (*sample_shape, *, D)`` where ``*`` is broadcast with the batch shape
        """
        value = self._checked(value)
        with torch.no_grad():
            shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
            draw = self._draw(self._possible(value), torch.Size(sample_shape) + shape)
        return torch.where(value.isnan(), draw, value)

    def state_probs(self, value: Tensor) -> Tensor:
        """p(s_k given the observed entries), for every variable at once: class probabilities of discrete ones.

        Shapes:
            ``(*, D) -> (*, D, N)``; states that a variable does not have get exactly 0
        """
        return self._state_probs(self._checked(value))

    def most_probable(self, value: Tensor) -> Tensor:
        """NaNs filled, each by itself: the most probable state, or the posterior mean. ``(*, D) -> (*, D)``"""
        value = self._checked(value)
        probs = self._posterior(self._possible(value))
        mean, columns = self._expectation(probs)[0], self._evidence.columns
        best = [group.argmax(-1) for group in self._evidence.layout.split(probs)]
        grouped = self._evidence.layout.grouped
        states = torch.cat(best, -1).index_select(
            -1, self.variables.index([grouped.index(c) for c in columns], probs.device)
        )
        best = torch.where(mean.isnan(), states.to(mean.dtype), mean).to(self._draws_dtype(probs))
        best = best.expand(torch.broadcast_shapes(best.shape, (*self.batch_shape, 1)))
        return torch.where(value.isnan(), best, value)

    def categorical(self, name: str) -> Categorical:
        """The law of one discrete variable as a Pyro Categorical with the same batch shape.

        Raises:
            ValueError: an unknown name, a continuous variable, a block of several.
        """
        columns = self._evidence.resolve(name)
        if len(columns) != 1 or self.variables.is_continuous[columns[0]]:
            raise ValueError(f"{name}: expected one discrete variable")
        probs = self._posterior(self._evidence.log_weights)
        probs = self._evidence.layout.padded(probs, columns, self.variables.num_states[columns[0]])[..., 0, :]
        return Categorical(probs=probs).expand(self.batch_shape)

    # ---- how the queries reach the contraction

    def _derive(self, *, columns=None, log_weights=None, batch_shape=None) -> "TensorRing":
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        if columns is not None:
            new._evidence = new._evidence.select(columns)
            new._event_shape = torch.Size((len(columns),))
            switched_off = self._evidence.all_continuous and not self.has_rsample
            new.has_rsample = new._evidence.all_continuous and not switched_off
        if log_weights is not None:
            new._evidence = new._evidence.weighed(log_weights)
            batch_shape = torch.broadcast_shapes(self.batch_shape, log_weights.shape[:-1])
        if batch_shape is not None:
            new._batch_shape = torch.Size(batch_shape)
        return new

    def _checked(self, value: Tensor, columns: tuple[int, ...] | None = None) -> Tensor:
        """``value`` as a float tensor, after validation."""
        value = as_floats(value, self._cores.dtype)
        if self._validate_args:
            self._evidence.check(value, self._evidence.columns if columns is None else columns, self.batch_shape)
        return value

    def _possible(self, value: Tensor, columns: tuple[int, ...] | None = None) -> Tensor:
        self._versions.check()
        evidence = self._evidence.given(value, columns)
        return self._evidence.check_possible(evidence) if self._validate_args else evidence

    def _validate_sample(self, value: Tensor):
        self._checked(value)

    def _contract(self, evidence: Tensor) -> tuple[Tensor, Tensor]:
        """Log of the closed chain under ``evidence``, and the log normaliser: in one walk, where that costs less.

        The normaliser is never kept: one row more costs little, and cores can change where nobody sees it.
        """
        self._versions.check()
        own = self._evidence.log_weights
        if torch.is_grad_enabled() and not self._learns() and evidence.requires_grad and own.dim() > 1:
            with torch.no_grad():  # rows need not be walked back
                log_normalizer = self._chain.contract(own)
            return self._chain.contract(evidence), log_normalizer
        return self._chain.contract_both(evidence, own)

    def _learns(self) -> bool:
        return self._cores.requires_grad or self._evidence.log_weights.requires_grad

    def _dtype(self, evidence: Tensor) -> torch.dtype:
        return torch.promote_types(self._cores.dtype, evidence.dtype)

    def _draws_dtype(self, evidence: Tensor) -> torch.dtype:
        """That of the cores where it is wide enough for all states that are visible."""
        dtype, columns = self._cores.dtype, self._evidence.columns
        narrow = evidence.dtype == torch.float32 and fits(dtype, self.variables, columns)
        return dtype if narrow else self._dtype(evidence)

    def _posterior(self, evidence: Tensor) -> Tensor:
        """State probabilities of all columns, visible or not: ``(*, S) -> (*, S)``"""
        self._versions.check()
        return self._chain.posterior(evidence)

    def _state_probs(self, value: Tensor) -> Tensor:
        """`state_probs` of a value that has been checked."""
        probs = self._evidence.layout.padded(
            self._posterior(self._possible(value)), self._evidence.columns, self._width()
        )
        return probs.expand(*torch.broadcast_shapes(probs.shape[:-2], self.batch_shape), *probs.shape[-2:])

    def _width(self) -> int:
        """How many states tables of all variables have room for."""
        return self.log_cores.shape[1] if isinstance(self.log_cores, Tensor) else max(self.variables.num_states)

    def _moments(self) -> tuple[Tensor, Tensor]:
        return self._expectation(self._posterior(self._evidence.log_weights))

    def _expectation(self, probs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the visible columns, NaN for discrete ones: ``(*, S) -> (*, k), (*, k)``"""
        (real, width), shape = self._leaves(), (*probs.shape[:-1], len(self._evidence.columns))
        nothing = probs.new_full(shape, torch.nan)
        if not real:
            return nothing, nothing
        places = self.variables.index([self._evidence.columns.index(c) for c in real], probs.device)
        moments = self.variables.expectation(self._evidence.layout.padded(probs, real, width), real)
        mean, variance = (nothing.index_copy(-1, places, moment) for moment in moments)
        return mean, variance

    def _leaves(self) -> tuple[tuple[int, ...], int]:
        """The visible columns that are continuous, and how many components the widest has."""
        real = tuple(c for c in self._evidence.columns if self.variables.is_continuous[c])
        return real, max((self.variables.num_states[c] for c in real), default=1)

    def _by_column(self, leaf: Tensor) -> list[Tensor]:
        """What `Variables.leaves` returned of all visible columns as one ``(N_k,)`` for each variable there is."""
        result = [leaf[0]] * len(self.variables)  # those that are not visible are not looked at
        for column, of_column in zip(self._evidence.columns, leaf.unbind(), strict=True):
            result[column] = of_column[: self.variables.num_states[column]]
        return result

    def _draw(self, evidence: Tensor, shape: torch.Size) -> Tensor:
        """Joint draws of the visible variables, ``(*, S) -> (*shape, k)``"""
        self._versions.check()
        states = self._chain.sample(evidence, shape).index_select(-1, self._evidence.index())
        draws = self.variables.draw(states, self._evidence.columns, self._dtype(evidence))
        return draws.to(self._draws_dtype(evidence))
