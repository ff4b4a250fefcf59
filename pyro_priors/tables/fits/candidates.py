"""The laws that a fit chooses among, and how each is started."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_priors.data.schema import Field
from pyro_priors.tables.fits.batches import Batches
from pyro_priors.tables.fits.completing import ROUGHLY, Moments, joint_moments, law_moments
from pyro_priors.tables.fits.descent import Training
from pyro_priors.tables.fits.leaf_forms import choose_leaves
from pyro_priors.tables.laws.groups import number_groups
from pyro_priors.tables.laws.law import TableLaw, with_exemplars
from pyro_priors.tables.leaves.leaves import leaf_from_json

SIZES = (  # see `Candidates.sizes`
    (1, 0, 300),
    (2, 0, 600),
    (3, 0, 600),
    (4, 50, 2000),
    (6, 100, 2000),
    (16, 200, 5000),
    (64, 1000, torch.inf),
)
ALONE = 16  # states from which on several share a cluster at the start; fewer would leave hardly a cluster
RICH = 2000  # rows from which on a law follows them sooner
FAST, SLOW = 0.025, 0.01  # rate of Adam, of many rows and of few
PSEUDO = 1.0  # rows that each state of a bond has seen


class Candidates:
    """Makes trainings of laws of different sizes on rows of a table.

    Args:
        codes: all rows, ``(n, C)``.
        fields: what the columns are.
        weight: of the rows.
        before: the law to go on from, the only candidate then.
        state: of others of the same rows, as `state_dict` has it: nothing is chosen anew.
    """

    def __init__(
        self,
        codes: Tensor,
        fields: Sequence[Field],
        weight: Tensor | None,
        before: TableLaw | None,
        state: dict[str, Any] | None = None,
    ):
        self.codes, self.weight, self.before = codes, weight, before and with_exemplars(before, None)
        if before is not None:
            self.leaves, self.groups, self.forms = before.leaves, before.groups, {}
            self.moments = law_moments(before.prior)
        elif state is not None:
            self.leaves = [leaf_from_json(leaf) for leaf in state["leaves"]]
            self.groups, self.forms = state["groups"], state["forms"]
            self.moments = [Moments(*each) for each in state["moments"]]
        else:
            self.leaves, self.forms = choose_leaves(codes, fields, weight)
            self.groups = number_groups(self.leaves, codes)
            rows = Batches(TableLaw(self.leaves, self.groups, rank=1), codes, weight)
            self.moments = joint_moments(rows.spread(rows.drawn()[:ROUGHLY]), rows.law.vectors)

    def state_dict(self) -> dict[str, Any]:
        """What was chosen."""
        leaves, moments = [leaf.to_json() for leaf in self.leaves], [list(each) for each in self.moments]
        return {"leaves": leaves, "groups": self.groups, "forms": self.forms, "moments": moments}

    @property
    def numbers(self) -> list[int]:
        """Columns that have scores."""
        return [c for group in self.groups for c in group]

    def sizes(self, rows: int) -> list[int]:
        """The ranks to try, for so many rows."""
        if self.before is not None:
            return [self.before.rank]
        return [rank for rank, least, most in SIZES if least <= rows < most]

    def begun(self, rank: int, index: Tensor) -> Training:
        """A training of a law of that rank on some of the rows that has been started."""
        training = self.blank(rank, index)
        if self.before is not None:
            training.go_on()
        else:
            training.start()
        return training

    def continued(self, law: TableLaw, index: Tensor) -> Training:
        """One that goes on from a law that another left."""
        training = self.blank(law.rank, index)
        training.law.load_state_dict(law.state_dict())
        training.go_on()
        return training

    def blank(self, rank: int, index: Tensor) -> Training:
        """One that has not been started."""
        codes, weight = self.codes[index], None if self.weight is None else self.weight[index]
        rate = FAST if len(codes) >= RICH else SLOW
        if self.before is not None:
            return Training(copy.deepcopy(self.before), codes, weight, rate, PSEUDO, self.moments)
        law = TableLaw(self.leaves, self.groups, rank, local=1 if rank < ALONE else None)
        return Training(law, codes, weight, rate, PSEUDO, self.moments)
