"""What TRIP and TTLP share: ownership of the parameters of a chain, its order, and how both are set from data."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_priors.distributions import Variables
from pyro_priors.distributions.chain_law import ChainLaw
from pyro_priors.distributions.full_chain import Boundary
from pyro_priors.distributions.kinds import Vector, order_text, states_of, variables_text
from pyro_priors.modules.bonds import Rank
from pyro_priors.modules.codes import FEW, inliers, warn_if_narrow
from pyro_priors.modules.dependence import laid_order, order_names
from pyro_priors.modules.em.refining import refined
from pyro_priors.modules.forms import CoreForm, Fitted, FullForm, Init, Tables, form_of
from pyro_priors.modules.latents import component_scale
from pyro_priors.modules.ordering.orders import Order, first_order
from pyro_priors.modules.ownership import improves, own, split_rows
from pyro_priors.modules.prior import Fitting, Prior, check_dims
from pyro_priors.modules.rescaling import rescale_leaves
from pyro_priors.modules.vector_leaves import VectorLeaf, gaussians_by_leaf
from pyro_priors.ops import Cores, full_precision

VECTOR_ROWS = 20_000  # that `reinitialize` needs where states have covariances
OTHERS = 1.0  # nats a row that EM gains where the rows are others than were learned
UNLAID = (
    "order: expected `reinitialize` or `fit_prior` before training, which lay the chain along the data, got gradients "
    "in declared order (with order='declared' this is no mistake)"
)


class ChainPrior(Prior):
    """Owner of the tables of a chain, and of ``loc, log_scale (C, N)`` of the continuous columns.

    Full cores: ``log_cores``, ``(D, N, m, m)`` where all variables have N states; otherwise they stand one state after
    the other, ``(S, m, m)`` with S the sum of the numbers of states, so that a variable costs its own size:
    `core_groups` says which are whose. Files of before, ``(D, N, m, m)`` with padding, still load. Factored cores:
    ``initial_logits (m,)``, ``emission_logits (S, m)``, ``transition_logits (D - 1, m, m)``. Of each vector what
    `VectorLeaf` says, under ``vectors``. Where bonds have sizes of their own, m is the largest, `rank`, and tables hold
    numbers beyond a bond's states that nothing reads.

    Calling it returns a fresh `TensorRing` or `FactoredTrain`. Not meant to be used itself: see `TRIP` and `TTLP`.
    """

    before: ClassVar = {"cores": "full", "block_size": None}  # arguments of files from before there was a choice
    if TYPE_CHECKING:
        __call__: Callable[[], ChainLaw]
    log_cores: Tensor
    vectors: Sequence[VectorLeaf]
    loc: Tensor | None
    log_scale: Tensor | None
    order: Tensor | None
    order_laid: Tensor | None  # whether the data have decided the order; None where they are not asked
    started: Tensor | None  # whether it was set from rows, so that EM goes on from there; None where it starts anew

    def __init__(
        self,
        variables: Variables,
        rank: Rank,
        cores: CoreForm,
        boundary: Boundary | None,
        order: Order | None,
        init: Init,
        fixed: bool,
        local: int | None,
        latents: int = 0,
    ):
        super().__init__()
        chain = first_order(order, len(variables), latents)
        self._spread = latents if order == "spread" else None  # latents among which the others stand, along their path
        self.form = form_of(cores, boundary, variables, rank, init, local)
        self._variables, self._layout = variables, self.form.layout
        self.cores, self.boundary, self.rank = cores, self.form.boundary, self.form.rank
        self.init, self.fixed, self.local = init, fixed, self.form.local
        for name, table in self.form.random(chain).items():
            own(self, name, table, fixed)
        own(self, "loc", variables.loc, fixed)
        own(self, "log_scale", None if variables.scale is None else variables.scale.log(), fixed)
        vectors = [cast(Vector, variables.kinds[v]) for v in variables.vectors]
        leaves = [VectorLeaf(kind, component_scale(states_of(kind), init), fixed) for kind in vectors]
        self.vectors = cast(Sequence, nn.ModuleList(leaves)) if leaves else leaves
        self.register_buffer("order", chain)
        self.register_buffer("order_laid", torch.tensor(False) if order in ("data", "spread") else None)
        refines = bool(leaves) and cores == "factored" and init == "mixture"
        self.register_buffer("started", torch.tensor(False) if refines else None)
        self._notices = [UNLAID] if order == "data" and not fixed else []

    def forward(self) -> ChainLaw:
        """The prior at the present parameters, to be built afresh at every optimizer step.

        Warns:
            UserWarning: once, where a density has gradients before the data have decided the order.
        """
        law = self.form.build(self._tables(), self._bound(), self.order)
        of_vectors = {f"{k}.{name}": x for k, leaf in enumerate(self.vectors) for name, x in leaf.named_parameters()}
        law.watch(**self._tables(), **of_vectors)  # of which the law's own are made
        if self._notices and not self.order_laid:  # laid: by weights that were loaded
            law.notices = self._notices
        return law

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        laid = f"{prefix}order_laid"
        if self.order_laid is None:
            state_dict.pop(laid, None)  # the order itself is there; of load_state_dict's own copy
        if self.started is None:
            state_dict.pop(f"{prefix}started", None)
        names = {key.removeprefix(prefix) for key in state_dict if key.startswith(prefix)}
        state_dict |= {prefix + key: flag for key, flag in self.unsaid(names).items()}
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def unsaid(self, names: Collection[str]) -> dict[str, Tensor]:
        """That an order of another origin is laid, and tables that were learned are started."""
        beside = {"order_laid": (self.order_laid, "order"), "started": (self.started, "initial_logits")}
        return {
            name: torch.tensor(True)
            for name, (flag, table) in beside.items()
            if flag is not None and name not in names and table in names
        }

    @property
    def order_names(self) -> tuple[str, ...]:
        """What stands at each position of the chain: names of variables, latents as ``z[3]``."""
        count = len(self._variables)
        return order_names(self._variables, range(count) if self.order is None else self.order)

    def expect_rows(self) -> None:
        """Something will call `reinitialize`: a training before it needs no warning."""
        self._notices.clear()

    @property
    def _ranks(self) -> int | list[int]:
        """States of all bonds, or of each along the chain."""
        return list(self.form.bonds.sizes) if self.form.bonds else self.rank

    def core_groups(self) -> list[Tensor]:
        """Views of the full cores of all variables with as many states as each other, ``(D_g, N_g, m, m)`` each."""
        assert isinstance(self.form, FullForm)
        return self.form.groups(self.log_cores)

    def _tables(self) -> Tables:
        return {name: getattr(self, name) for name in self.form.names}

    def former(self, name: str, tensor: Tensor) -> Tensor:
        """Cores (or an optimizer's moments of them) that versions of before padded to the widest, without padding."""
        sizes = self._layout.sizes
        padded = (len(sizes), max(sizes), self.rank, self.rank)
        if name != "log_cores" or len(self._layout.groups) == 1 or tuple(tensor.shape) != padded:
            return tensor
        return Cores.from_padded(tensor, sizes).flat()

    def _bound(self) -> Variables:
        vectors = gaussians_by_leaf(self.vectors) if self.vectors else None
        if self.loc is None or self.log_scale is None:
            return self._variables if vectors is None else self._variables.bind(None, None, vectors)
        return self._variables.bind(self.loc, full_precision(self.log_scale).exp(), vectors)

    def schema(self) -> dict[str, Any]:
        # The order is a buffer beside it, and is loaded: random ones may differ.
        variables = [list(variable) for variable in self._variables.described()]
        law = self.form.law.__name__
        return {"law": law, "variables": variables, "rank": self._ranks, "boundary": self.boundary}

    def fitting(self) -> Fitting:
        return self.form.fitting._replace(rows=VECTOR_ROWS) if self.vectors else self.form.fitting

    @torch.no_grad()
    def usual_states(self) -> tuple[Tensor, Tensor]:
        """How probable each state of each variable is, ``(S,)``, group by group, and the variances of the columns.

        NaN for discrete columns.
        """
        law = self()
        return law._posterior(law._evidence.log_weights), law.variance

    def log_smoothness(self, usual: Tensor, variance: Tensor) -> Tensor:
        """Log density of the parameters, up to a constant, under laws that count as a row a bond state.

        That row has a variable's states as often as is `usual`, ``(S,)``, and leads to all bond states alike; and one a
        component, at its mean with the column's `variance`, so that none narrows to a point where columns have ties.
        """
        smooth, variables = self.form.log_smoothness(self._tables(), usual), self._variables
        for v, leaf in zip(variables.vectors, self.vectors, strict=True):
            smooth = smooth + leaf.narrowness(variance[list(variables.columns_of[v])])
        if self.log_scale is None:
            return smooth
        columns = list(variables.continuous)
        counts = [variables.num_states[variables.variable_of[column]] for column in columns]
        log_scale = full_precision(self.log_scale)
        used = (
            torch.arange(log_scale.shape[1], device=usual.device) < torch.tensor(counts, device=usual.device)[:, None]
        )
        narrow = -log_scale - 0.5 * variance[columns, None] * (-2 * log_scale).exp()
        return smooth + torch.where(used, narrow, 0.0).sum()

    def _rescale(self, shift: Tensor, scale: Tensor) -> None:
        variables = self._variables  # the latents' columns are the first
        alone = [column for column in variables.continuous if column < len(shift)]
        if self.loc is not None and self.log_scale is not None:
            leaves = self.loc[: len(alone)], self.log_scale[: len(alone)]
            rescale_leaves(*leaves, shift[alone, None], scale[alone, None])
        for v, leaf in zip(variables.vectors, self.vectors, strict=True):
            columns = list(variables.columns_of[v])
            if columns[0] < len(shift):
                leaf.rescale(shift[columns], scale[columns])

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        check_dims(dims, self.latent_dim)
        return law if law.event_shape == (2,) else law.marginal(dims)

    @torch.no_grad()
    def _reinitialize(self, value: Tensor, force: bool, unsure: bool, relay: bool) -> bool:
        """`unsure`: whether the codes may be means of q(z given x); `relay`: whether the order is laid anew."""
        if self.fixed:
            return False
        value = value.to(full_precision(next(iter(self._tables().values()))))
        value = value[inliers(value[:, list(self._variables.is_continuous)])]
        if unsure and self.latent_dim:
            latents = list(range(self.latent_dim))
            warn_if_narrow(value[:, latents], self().marginal(latents).variance)
        variables, order = self._bound(), self.order
        self._notices.clear()
        seen = self._shows_enough(value)
        if self.order_laid is not None and (relay or (seen and not self.order_laid)):
            order = laid_order(value, variables, self._spread)
            force = True  # tables of another order cannot be compared: their training has not begun
        if self.init == "noise":
            fitted = self.form.noise_fit(value, variables)
        else:
            fit_rows, held_out = split_rows(value)
            rows, refines = fit_rows, self.started is not None and not force
            if refines and self.started:
                gain = self._refine(rows, held_out)
                if gain < OTHERS:
                    return gain > 0
                variables = self._bound()
            missing = value.isnan().all(0)
            if missing.any():  # or the fit would forget what was learned of these columns
                fit_rows = torch.where(missing, self().impute(fit_rows), fit_rows)
            fitted = self.form.fit(fit_rows, variables, order)
            bound = variables.bind(fitted.loc, fitted.scale, fitted.vectors or None)
            if not force and not improves(self.form.build(fitted.tables, bound, order), self(), held_out):
                return refines and (bool(self.started) or self._refine(rows, held_out) > 0)
        self._take(fitted)
        if self.order_laid is not None and self.order is not None and order is not None:
            self.order.copy_(order)
            self.order_laid.fill_(seen or bool(self.order_laid))
        return True

    @torch.no_grad()
    def lay(self, value: Tensor) -> None:
        """Let rows ``(n, C)`` decide the order alone, where it is theirs and not decided; `reinitialize` keeps it."""
        if self.order is not None and self.order_laid is not None and not self.order_laid and self._shows_enough(value):
            self.order.copy_(laid_order(value, self._variables, self._spread))
            self.order_laid.fill_(True)

    def _shows_enough(self, value: Tensor) -> bool:
        """Whether rows may decide the order: what has not been seen would stand anywhere in it."""
        columns = [c for c, v in enumerate(self._variables.variable_of) if v >= (self._spread or 0)]
        return len(value) > FEW and not bool(value[:, columns].isnan().all(0).any())

    def _refine(self, rows: Tensor, held_out: Tensor) -> float:
        """Go on by EM from what is learned; returns what held-out rows gain by it, in nats a row."""
        better, gain = refined(self, rows, held_out)
        if gain > 0:
            for present, new in zip(self.parameters(), better.parameters(), strict=True):
                present.copy_(new)
            self._set_started()
        return gain

    def _set_started(self) -> None:
        if self.started is not None:
            self.started.fill_(True)

    def _take(self, fitted: Fitted) -> None:
        self._set_started()
        for name, table in fitted.tables.items():
            getattr(self, name).copy_(table)
        if self.loc is not None and self.log_scale is not None and fitted.loc is not None and fitted.scale is not None:
            self.loc.copy_(fitted.loc)
            self.log_scale.copy_(fitted.scale.log())
        for leaf, gaussians in zip(self.vectors, fitted.vectors, strict=True):
            leaf.set(gaussians)

    def extra_repr(self) -> str:
        full = isinstance(self.form, FullForm)
        return (
            f"{variables_text(self._variables.described())}, rank={self._ranks}, "
            + (f"boundary={self.boundary}, " if full else "cores=factored, ")
            + f"order={order_text(self.order)}, init={self.init}, fixed={self.fixed}"
            + (f", local={self.local}" if self.local > 1 else "")
        )
