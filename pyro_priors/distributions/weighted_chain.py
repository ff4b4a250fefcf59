"""How the queries of a law on a chain reach its contraction: each is that contraction under other weights."""

import warnings
from collections.abc import Sequence
from typing import Self

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from pyro_priors.distributions.evidence import Evidence, as_floats, fits
from pyro_priors.distributions.ordered_chain import OrderedChain
from pyro_priors.distributions.variables import Variables
from pyro_priors.distributions.versions import Versions
from pyro_priors.ops import Leaf, holds


class WeightedChain(TorchDistribution):
    """A chain, what is known of its variables, and the steps between a query and the contraction.

    Knows no tables: an `OrderedChain` contracts, draws and gives posteriors under the weights of the evidence.

    Args:
        chain: the contraction.
        variables: names, kinds and component parameters of the columns.
        tables: by name, the tensors that the chain was built from, which are watched for optimizer steps.
        validate_args: as that of all distributions.
    """

    variables: Variables

    def __init__(
        self, chain: OrderedChain, variables: Variables, tables: dict[str, Tensor], validate_args: bool | None
    ):
        self.variables, self._chain = variables, chain
        self.notices: list[str] = []  # said where a density first has gradients; the prior's own list
        self._evidence = Evidence(variables, chain.layout, torch.empty((), dtype=chain.dtype, device=chain.device))
        self._versions = Versions(type(self).__name__, **tables, **variables.parameters())
        self.has_rsample = self._evidence.all_continuous
        super().__init__(torch.Size(), torch.Size((variables.width,)), validate_args=False)
        if validate_args is None:
            del self._validate_args  # as the default is
        else:
            self._validate_args = validate_args
        if self._validate_args:  # here, since torch would look at one tensor, and at values that a transform hides
            self._check_tables(tables)
            variables.check_parameters()

    def watch(self, **tensors: Tensor) -> None:
        """Refuse to answer once one of these parameters, by name, has been written to."""
        self._versions = Versions(type(self).__name__, **{**self._versions.tensors, **tensors})

    def _check_tables(self, tables: dict[str, Tensor]) -> None:
        """`ValueError` where the values of the tables cannot be."""

    def _derive(self, *, columns=None, evidence=None, batch_shape=None) -> Self:
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        if evidence is not None:
            new._evidence = evidence
            batch_shape = torch.broadcast_shapes(self.batch_shape, evidence.log_weights.shape[:-1])
        if columns is not None:
            new._evidence = new._evidence.select(columns)
            new._event_shape = torch.Size((len(columns),))
            switched_off = self._evidence.all_continuous and not self.has_rsample
            new.has_rsample = new._evidence.all_continuous and not switched_off
        if batch_shape is not None:
            new._batch_shape = torch.Size(batch_shape)
        return new

    def _checked(self, value: Tensor, columns: tuple[int, ...] | None = None) -> Tensor:
        """``value`` as a float tensor, after validation."""
        value = as_floats(value, self._chain.dtype)
        if self._validate_args:
            self._evidence.check(value, self._evidence.columns if columns is None else columns, self.batch_shape)
        return value

    def _possible(self, value: Tensor, columns: tuple[int, ...] | None = None) -> Tensor:
        self._versions.check()
        return self._not_excluded(self._evidence.given(value, columns))

    def _not_excluded(self, evidence: Tensor) -> Tensor:
        """The same evidence; `ValueError` where it cannot be."""
        if not self._validate_args:
            return evidence
        self._evidence.check_possible(evidence)
        if self._chain.excludes:
            with torch.no_grad():
                if holds((self._chain.contract(evidence) == -torch.inf).any()):
                    raise ValueError("contradictory evidence: the tables give it probability zero")
        return evidence

    def _validate_sample(self, value: Tensor):
        self._checked(value)

    def _contract(self, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """Log of the closed chain under ``evidence``, and the log normaliser: in one walk, where that costs less.

        The normaliser is never kept but by a law that shares: one row more costs little, and tables can change where
        nobody sees it.
        """
        self._versions.check()
        if self.notices and torch.is_grad_enabled() and self._learns():
            warnings.warn(self.notices.pop(), stacklevel=3)
        own = self._evidence
        if self._chain.normalised and not own.is_weighed:
            return self._totals(evidence)[0], own.log_weights.new_zeros(())
        rows = evidence.log_weights.requires_grad and own.log_weights.dim() > 1
        if torch.is_grad_enabled() and not self._learns() and rows:
            with torch.no_grad():  # rows need not be walked back
                (log_normalizer,) = self._totals(own)
            return self._totals(evidence)[0], log_normalizer
        total, log_normalizer = self._totals(evidence, own)
        return total, log_normalizer

    def _totals(self, *several: Evidence) -> Sequence[Tensor]:
        """Log of the closed chain under each evidence, in one walk."""

        def walk(places: Sequence[int]) -> list[Tensor]:
            return self._chain.contract_all([several[place].log_weights for place in places])

        return self._evidence.walks.once("totals", [evidence.known for evidence in several], walk)

    def _learns(self) -> bool:
        return self._chain.learns or self._evidence.log_weights.requires_grad

    def _dtype(self, evidence: Tensor) -> torch.dtype:
        return torch.promote_types(self._chain.dtype, evidence.dtype)

    def _draws_dtype(self, evidence: Tensor) -> torch.dtype:
        """That of the cores where it is wide enough for all states that are visible."""
        dtype, columns = self._chain.dtype, self._evidence.columns
        narrow = evidence.dtype == torch.float32 and fits(dtype, self.variables, columns)
        return dtype if narrow else self._dtype(evidence)

    def _posterior(self, evidence: Tensor) -> Tensor:
        """State probabilities of all columns, visible or not: ``(*, S) -> (*, S)``"""
        self._versions.check()
        return self._chain.posterior(evidence)

    def _state_probs(self, value: Tensor) -> Tensor:
        """`state_probs` of a value that has been checked."""
        probs = self._evidence.layout.padded(
            self._posterior(self._possible(value)), self._evidence.open, self._chain.width
        )
        return probs.expand(*torch.broadcast_shapes(probs.shape[:-2], self.batch_shape), *probs.shape[-2:])

    def _moments(self) -> tuple[Tensor, Tensor]:
        return self._expectation(self._posterior(self._evidence.log_weights))

    def _expectation(self, probs: Tensor, value: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance of the visible columns, NaN for discrete ones: ``(*, S) -> (*, k), (*, k)``

        With a value, ``(*, k)``, means of vectors are those of what is missing given what is not.
        """
        evidence, variables = self._evidence, self.variables
        real, width = self._scalars()
        vectors = self._vectors()
        lead = probs.shape[:-1]
        if value is not None and vectors:
            lead = torch.broadcast_shapes(lead, value.shape[:-1])
        mean = variance = probs.new_full((*lead, len(evidence.columns)), torch.nan)
        if real:
            places = evidence.index([evidence.within(v)[1][0] for v in real])
            moments = variables.expectation(evidence.layout.padded(probs, real, width), real)
            mean, variance = (mean.index_copy(-1, places, moment.expand(*lead, -1)) for moment in moments)
        for v in vectors:
            there, places = map(evidence.index, evidence.within(v))
            given = None if value is None else evidence.vector(value, evidence.columns, v)
            states = evidence.layout.padded(probs, (v,), variables.num_states[v]).squeeze(-2)
            moments = variables.vector_expectation(states, v, given)
            parts = [moment.index_select(-1, there).expand(*lead, -1) for moment in moments]
            mean, variance = mean.index_copy(-1, places, parts[0]), variance.index_copy(-1, places, parts[1])
        return mean, variance

    def _scalars(self) -> tuple[tuple[int, ...], int]:
        """The visible `Continuous` variables, and how many components the widest has."""
        vectors = self.variables.vectors
        columns = (c for c in self._evidence.columns if self.variables.is_continuous[c])
        real = tuple(v for v in self.variables.among(columns) if v not in vectors)
        return real, max((self.variables.num_states[v] for v in real), default=1)

    def _vectors(self) -> list[int]:
        """The visible vectors."""
        return [v for v in self._evidence.open if v in self.variables.vectors] if self.variables.vectors else []

    def _leaves(self) -> list[Leaf | None]:
        """What densities of the visible variables, all continuous, are made of; None for those that are not visible."""
        result: list[Leaf | None] = [None] * len(self.variables)
        real, width = self._scalars()
        if real:
            locs, scales = self.variables.leaves(real, width)
            for v, loc, scale in zip(real, locs.unbind(), scales.unbind(), strict=True):
                count = self.variables.num_states[v]
                result[v] = loc[:count], scale[:count]
        for v in self._vectors():
            result[v] = self.variables.gaussians[v].triangular(self._evidence.within(v)[0])
        return result

    def _draw(self, evidence: Tensor, shape: torch.Size, value: Tensor | None = None) -> Tensor:
        """Joint draws of the visible variables, ``(*, S) -> (*shape, k)``

        With a value, ``(*, k)``, whose numbers the evidence has seen, those of a vector are drawn given each other.
        """
        self._versions.check()
        states, dtype, known = self._chain.sample(evidence, shape), self._dtype(evidence), self._evidence
        vectors = self._vectors()
        if not vectors:
            draws = self.variables.draw(states.index_select(-1, known.index(known.open)), known.open, dtype)
            return draws.to(self._draws_dtype(evidence))
        draws = states.new_zeros((*shape, len(known.columns)), dtype=dtype)
        others = tuple(v for v in known.open if v not in vectors)
        if others:
            places = known.index([known.within(v)[1][0] for v in others])
            part = self.variables.draw(states.index_select(-1, known.index(others)), others, dtype)
            draws = draws.index_copy(-1, places, part)
        for v in vectors:
            there, places = map(known.index, known.within(v))
            given = None if value is None else known.vector(value, known.columns, v)
            part = self.variables.gaussians[v].draw(states[..., v], given).to(dtype)
            draws = draws.index_copy(-1, places, part.index_select(-1, there))
        return draws.to(self._draws_dtype(evidence))
