"""The surface of every law on a chain: densities, draws and queries, whatever its tables are."""

from collections.abc import Iterable, Sequence
from typing import Self

import torch
from pyro.distributions import Categorical
from torch import Tensor
from torch.distributions import constraints

from pyro_priors.checks import check_broadcast
from pyro_priors.distributions.evidence import as_floats, as_tensor, check_width
from pyro_priors.distributions.kinds import order_text, variables_text
from pyro_priors.distributions.support import VariablesSupport
from pyro_priors.distributions.weighted_chain import WeightedChain
from pyro_priors.ops import full_precision, holds


class ChainLaw(WeightedChain):
    """A joint law of named variables on a chain, closed under conditioning and marginalising.

    Every query is the one contraction of the chain with other weights per (variable, state).

    Shapes:
        batch shape ``(*)`` (that of the evidence given so far, ``()`` at first), event shape ``(D,)``: the visible
        variables in declared order, whatever the order in the chain. Discrete states are floats 0..n-1.

    See Also:
        `TensorRing` and `FactoredTrain`, its two forms.
    """

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
        columns, every = self._evidence.columns, self.variables.width
        shown = variables_text(self.variables.described(columns))
        left = "" if len(columns) == every else f", {len(columns)} of {every} columns"
        return (
            f"{type(self).__name__}({shown}{left}, rank={self._chain.rank}, {self._closing()}"
            f"order={order_text(self._chain.order)}, batch_shape={tuple(self.batch_shape)})"
        )

    def _closing(self) -> str:
        """How the chain closes, where there is a choice."""
        return ""

    # ---- densities and samples

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the entries that are not NaN; a row without any scores exactly 0. ``(*, D) -> (*)``"""
        value = self._checked(value)
        evidence = self._evidence.knowing(value)
        total, log_normalizer = self._contract(evidence)
        score = (total - log_normalizer).to(self._dtype(evidence.log_weights))
        # The two contractions of a row without entries may round differently.
        score = score.masked_fill(value.isnan().all(-1), 0.0)
        return score.expand(torch.broadcast_shapes(score.shape, self.batch_shape))

    def log_joint(self, value: Tensor) -> Tensor:
        """`log_prob` of what is not NaN, plus log of what the evidence so far (`condition`, `weigh`) weighs by itself.

        Shapes:
            ``(*, D) -> (*)``
        """
        total = self._contract(self._evidence.knowing(self._checked(value)))
        return total[0].clone().expand(torch.broadcast_shapes(total[0].shape, self.batch_shape))

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Exact draws. ``-> (*sample_shape, *batch_shape, D)``"""
        shape = torch.Size(sample_shape) + self.batch_shape
        return self._draw(self._evidence.log_weights, shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws with pathwise gradients to tables, component parameters and evidence, to first order only.

        Raises:
            NotImplementedError: a visible variable is discrete.
        """
        shape = torch.Size(sample_shape) + self.batch_shape
        if not self._evidence.all_continuous:
            raise NotImplementedError("rsample: pathwise gradients need continuous variables; use sample, or marginal")
        draws = self.sample(sample_shape)
        if not torch.is_grad_enabled():
            return draws
        exact, known = full_precision(draws), self._evidence
        apart: list[Tensor | None] = [None] * len(self.variables)
        for v in known.open:
            part = exact.index_select(-1, known.index(known.within(v)[1]))
            apart[v] = part if v in self.variables.vectors else part.squeeze(-1)
        moved = self._chain.pathwise(apart, self._leaves(), known.log_weights, shape)
        parts = [part if part.dim() > len(shape) else part.unsqueeze(-1) for part in moved if part is not None]
        return torch.cat(parts, -1).to(draws.dtype)

    @property
    def mean(self) -> Tensor:
        """Exact for continuous variables, NaN for discrete ones."""
        return self._moments()[0].expand(self.batch_shape + self.event_shape)

    @property
    def variance(self) -> Tensor:
        """Exact for continuous variables, NaN for discrete ones."""
        return self._moments()[1].expand(self.batch_shape + self.event_shape)

    # ---- queries

    def marginal(self, names: str | int | Iterable[str | int]) -> Self:
        """The law of some of the variables; columns in declared order whatever the order asked.

        Args:
            names: a variable, a block, a column index of the present event, or a sequence of these.

        Raises:
            ValueError: an unknown name, a column that is not there, a column asked twice, nothing asked.
        """
        wanted = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
        columns = [c for name in wanted for c in self._evidence.resolve(name, "names")]
        if not columns or len(set(columns)) < len(columns):
            raise ValueError(f"names: expected at least one variable, each once, got {names!r}")
        return self._derive(columns=tuple(sorted(columns)))

    def condition(self, **given: Tensor | float) -> Self:
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
                value = as_tensor(value, self._chain.device)
            except (RuntimeError, TypeError, ValueError):
                raise ValueError(f"{name}: expected a tensor or a number, got {value!r}") from None
            value = as_floats(value, self._chain.dtype)
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
        values = [value if value.shape[:-1] == lead else value.expand(*lead, value.shape[-1]) for value in values]
        value = self._checked(values[0] if len(values) == 1 else torch.cat(values, -1), tuple(columns))
        self._versions.check()
        evidence = self._evidence.knowing(value, tuple(columns))
        self._not_excluded(evidence.log_weights)
        return self._derive(columns=left, evidence=evidence)

    def weigh(self, log_weights: Tensor) -> Self:
        """Soft evidence: each state of each visible variable multiplied by ``exp(log_weights)``.

        Shapes:
            ``log_weights (*, V, N)`` for the V visible variables (a vector is one), N that of the widest; entries for
            states that a variable does not have are ignored.

        Raises:
            ValueError: another shape, NaN or +infinity, a variable all of whose states are excluded.
        """
        size = (len(self._evidence.open), self._chain.width)
        if not isinstance(log_weights, Tensor) or log_weights.shape[-2:] != size:
            got = tuple(log_weights.shape) if isinstance(log_weights, Tensor) else type(log_weights).__name__
            raise ValueError(f"log_weights: expected a tensor of shape (*, {size[0]}, {size[1]}), got {got}")
        if log_weights.dtype == torch.bool:
            raise ValueError("log_weights: expected logarithms of weights, got booleans")
        check_broadcast("log_weights", log_weights.shape[:-2], self.batch_shape)
        parts = self._evidence.layout.unpadded(log_weights, self._evidence.open)
        wrong = [holds((part.isnan() | (part == torch.inf)).any()) for _, part in parts] if self._validate_args else []
        if any(wrong):
            raise ValueError("log_weights: expected finite values or -inf, got NaN or inf")
        evidence = self._evidence.weighed(self._not_excluded(self._evidence.plus(parts)))
        return self._derive(evidence=evidence)

    def sharing(self) -> Self:
        """The same law for one step, in which it and all laws that are made of it walk the chain once for a question.

        The densities of one y and z under ``marginal("y")``, ``condition(y=y).marginal("z")`` and
        ``condition(z=z).marginal("y")`` need three contractions instead of five. Values are known by their tensors:
        the same tensor, not written to since, is the same question.

        Note:
            What is shared has one graph: call backward once, for all together. The law keeps what it was asked until it
            goes, and its copies share nothing. Where parameters or values are written to through ``.data`` or numpy,
            which no law sees, make the law afresh first.
        """
        return self._derive(evidence=self._evidence.sharing())

    def impute(self, value: Tensor, sample_shape: Sequence[int] = ()) -> Tensor:
        """``value`` with its NaNs filled by a joint draw from p(missing given observed); the rest bit for bit.

        Shapes:
            ``(*, D) -> (*sample_shape, *, D)`` where ``*`` is broadcast with the batch shape
        """
        value = self._checked(value)
        with torch.no_grad():
            shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
            draw = self._draw(self._possible(value), torch.Size(sample_shape) + shape, value)
        return torch.where(value.isnan(), draw, value)

    def state_probs(self, value: Tensor) -> Tensor:
        """p(s_k given the observed entries), for every variable at once: class probabilities of discrete ones.

        Shapes:
            ``(*, D) -> (*, V, N)``, V visible variables (a vector is one); states that a variable does not have get
            exactly 0
        """
        return self._state_probs(self._checked(value))

    def most_probable(self, value: Tensor) -> Tensor:
        """NaNs filled, each by itself: the most probable state, or the posterior mean. ``(*, D) -> (*, D)``"""
        value = self._checked(value)
        probs = self._posterior(self._possible(value))
        mean, columns = self._expectation(probs, value)[0], self._evidence.columns
        best = [group.argmax(-1) for group in self._evidence.layout.split(probs)]
        grouped = self._evidence.layout.grouped
        states = torch.cat(best, -1).index_select(
            -1, self._evidence.index([grouped.index(self.variables.variable_of[c]) for c in columns])
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
        probs, variables = self._posterior(self._evidence.log_weights), self.variables.among(columns)
        probs = self._evidence.layout.padded(probs, variables, self.variables.num_states[variables[0]])[..., 0, :]
        return Categorical(probs=probs).expand(self.batch_shape)
