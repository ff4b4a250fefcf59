"""How the queries of a law on a chain reach its contraction: each is that contraction under other weights."""

import warnings
from typing import Self

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from pyro_priors.distributions.evidence import Evidence, as_floats, fits
from pyro_priors.distributions.ordered_chain import OrderedChain
from pyro_priors.distributions.variables import Variables
from pyro_priors.distributions.versions import Versions
from pyro_priors.ops import holds


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
        self._versions = Versions(type(self).__name__, **tables, loc=variables.loc, scale=variables.scale)
        self.has_rsample = self._evidence.all_continuous
        super().__init__(torch.Size(), torch.Size((len(variables),)), validate_args=False)
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

    def _derive(self, *, columns=None, log_weights=None, batch_shape=None) -> Self:
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

    def _contract(self, evidence: Tensor) -> tuple[Tensor, Tensor]:
        """Log of the closed chain under ``evidence``, and the log normaliser: in one walk, where that costs less.

        The normaliser is never kept: one row more costs little, and tables can change where nobody sees it.
        """
        self._versions.check()
        if self.notices and torch.is_grad_enabled() and self._learns():
            warnings.warn(self.notices.pop(), stacklevel=3)
        own = self._evidence.log_weights
        if self._chain.normalised and not self._evidence.is_weighed:
            return self._chain.contract(evidence), own.new_zeros(())
        if torch.is_grad_enabled() and not self._learns() and evidence.requires_grad and own.dim() > 1:
            with torch.no_grad():  # rows need not be walked back
                log_normalizer = self._chain.contract(own)
            return self._chain.contract(evidence), log_normalizer
        return self._chain.contract_both(evidence, own)

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
            self._posterior(self._possible(value)), self._evidence.columns, self._chain.width
        )
        return probs.expand(*torch.broadcast_shapes(probs.shape[:-2], self.batch_shape), *probs.shape[-2:])

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
