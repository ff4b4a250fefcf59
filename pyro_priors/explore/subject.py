"""What is explored: named variables, and the exact answer to what is given of them."""

import math
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from pyro_priors.explore.curves import ENDS, Axis, Curve, change, curves, divergence
from pyro_priors.tables.answers.information import mutual_information
from pyro_priors.tables.answers.posterior import Posterior
from pyro_priors.tables.answers.ranges import Allowed
from pyro_priors.tables.laws.wide_law import WideLaw

DRAWS = 1000  # of pairwise mutual information where numbers take part
ONE_BY_ONE = 400  # variables above which pairs are not compared


class Row(NamedTuple):
    """A variable as the page shows it.

    Args:
        name: of the variable.
        kind: "category" or "number".
        categories: texts of its states, None of a number.
        about: in a few words what it is.
    """

    name: str
    kind: str
    categories: tuple[str, ...] | None = None
    about: str = ""


class Given(NamedTuple):
    """What is given: by name as the user says it, and as the laws take it."""

    said: Mapping[str, Any]
    codes: np.ndarray  # (1, C)
    ranges: dict[int, Any]


class Believed(NamedTuple):
    """What the laws say of the variables given some.

    Args:
        posterior: of one row.
        states: probabilities of categories, ``(C, N)``; what they hold for numbers is nothing.
        numbers: laws of the numbers that are open, by column.
    """

    posterior: Posterior
    states: np.ndarray
    numbers: dict[int, Curve]


class Subject:
    """Laws of named variables, and all that may be asked of them; safe to ask from several threads.

    Args:
        title: what it is called.
        wides: the laws, in equal parts.
        rows: of the C columns of the codes.
    """

    kind, path = "law", "RUN"  # path: where it lies, for the lines of Python

    def __init__(self, title: str, wides: Sequence[WideLaw], rows: Sequence[Row]):
        self.title, self.wides, self.rows = title, list(wides), list(rows)
        self.lock = threading.RLock()  # torch's own threads share the cores anyway
        self.numbers = [c for c, row in enumerate(self.rows) if row.kind == "number"]
        with self.lock, torch.no_grad():
            self._axes = self._find_axes()
            self._before = self._believe(self._nothing)

    # ---- what subclasses say

    def read(self, given: Mapping[str, Any]) -> Given:
        """What is given by name -> codes and ranges; `ValueError` where that cannot be."""
        raise NotImplementedError

    def text(self, column: int, value: float) -> str:
        """A number as it is written."""
        return f"{value:.4g}"

    def lines(self, given: Mapping[str, Any]) -> str:
        """Python that gives the same answers."""
        raise NotImplementedError

    # ---- answers

    def describe(self) -> dict[str, Any]:
        """The variables, their axes, and their laws with nothing given, as JSON values."""
        variables = []
        for column, row in enumerate(self.rows):
            axis = self._axes.get(column)
            variables.append(
                {
                    "name": row.name,
                    "kind": row.kind,
                    "about": row.about,
                    "categories": None if row.categories is None else list(row.categories),
                    "axis": None if axis is None else axis.x.tolist(),
                    "ends": None if axis is None else [self.text(column, float(axis.x[k])) for k in (0, -1)],
                }
            )
        return {"title": self.title, "kind": self.kind, "variables": variables, "answer": self.answer({})}

    def answer(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The law of every variable given some, as JSON values; see `ask`.

        Raises:
            ValueError: an unknown name, a value that a variable cannot have, evidence of probability zero.
        """
        with self.lock, torch.no_grad():
            read = self.read(given)
            believed = self._believe(read)
            members = believed.posterior.members
            score = float(torch.logsumexp(torch.stack([member.log_total for member in members]), 0)[0])
            if not math.isfinite(score):
                raise ValueError("given: expected evidence that can be, got some of probability zero")
            worth = min(float(member.effective_draws()[0]) for member in members) if read.ranges else math.inf
            variables, log_prob = self._variables(read, believed), self.log_prob(read, score)
        return {
            "variables": variables,
            "log_prob": log_prob,
            "exact": math.isinf(worth),
            "worth": None if math.isinf(worth) else worth,
            "python": self.lines(given),
        }

    def log_prob(self, given: Given, score: float) -> float | None:
        """Of what is given, in nats, in the variables' own units; None where that is not said."""
        return None

    def information(self) -> dict[str, Any]:
        """Mutual information of every two variables in nats: exact between categories, else from draws."""
        nats, errors = self._information
        names = [row.name for row in self.rows]
        clean = [[None if math.isnan(x) else x for x in line] for line in nats.tolist()]
        noise = [[None if math.isnan(x) else x for x in line] for line in errors.tolist()]
        return {"names": names, "nats": clean, "standard_error": noise, "draws": DRAWS}

    @cached_property
    def _information(self) -> tuple[np.ndarray, np.ndarray]:
        if len(self.rows) > ONE_BY_ONE:
            raise ValueError(f"information: expected at most {ONE_BY_ONE} variables to compare, got {len(self.rows)}")
        with self.lock, torch.no_grad():
            found = mutual_information(self.wides, DRAWS)
        return found.nats, found.standard_error

    # ---- how

    @property
    def _nothing(self) -> Given:
        return Given({}, np.full((1, len(self.rows)), np.nan), {})

    def _believe(self, given: Given) -> Believed:
        """All that is believed of the variables."""
        posterior = Posterior(self.wides, given.codes, Allowed(self.wides[0], given.ranges, 1))
        open_ones = [c for c in self.numbers if np.isnan(given.codes[0, c])]
        found = curves(posterior, open_ones, [self._axes.get(c) for c in open_ones])
        return Believed(posterior, self._states(posterior), dict(zip(open_ones, found, strict=True)))

    def _states(self, posterior: Posterior) -> np.ndarray:
        """Probabilities of all categories, 0 where there is none: ``(C, N)``, in a few steps for all columns."""
        width = max(wide.states for wide in self.wides)
        probs = np.zeros((len(self.rows), width))
        for belief, share in zip(posterior.members, posterior.shares, strict=True):
            variables = [place.variable or 0 for place in belief.wide.places]
            part = belief.probs[0].detach().numpy()[variables]
            probs[:, : part.shape[-1]] += part * float(share[0])
        return probs

    def _variables(self, given: Given, believed: Believed) -> dict[str, Any]:
        """The answers of all variables as JSON values."""
        nats = divergence(believed.states, self._before.states).tolist()
        states, is_set, result = believed.states.tolist(), (~np.isnan(given.codes[0])).tolist(), {}
        for column, row in enumerate(self.rows):
            how = "set" if is_set[column] else "limited" if column in given.ranges else "open"
            if row.categories is not None:
                probs = states[column][: len(row.categories)]
                result[row.name] = {"is": how, "probs": probs, "change": nats[column]}
            elif is_set[column]:
                result[row.name] = {"is": how, "value": float(given.codes[0, column]), "change": None}
            else:
                result[row.name] = {"is": how, **self._number(column, believed.numbers[column])}
        return result

    def _number(self, column: int, curve: Curve) -> dict[str, Any]:
        low, middle, high = curve.ends
        return {
            "density": None if curve.density is None else curve.density.tolist(),
            "points": [list(point) for point in zip(curve.values.tolist(), curve.masses.tolist(), strict=True)],
            "mean": curve.mean,
            "median": middle,
            "interval": [low, high],
            "texts": [self.text(column, x) for x in (curve.mean, low, high)],
            "change": change(curve, self._before.numbers[column], self._axes.get(column)),
        }

    def _find_axes(self) -> dict[int, Axis]:
        """Of the numbers that have densities: where nearly all of the law with nothing given lies."""
        posterior = Posterior(self.wides, self._nothing.codes, Allowed(self.wides[0], None, 1))
        axes, row = {}, torch.zeros(1, dtype=torch.long)
        for column in self.numbers:
            law = posterior.number(column, row)
            if not law.parts:
                continue
            leaf = self.wides[0].number_leaf(column)
            low, high = (float(law.quantile(end)) for end in ENDS)
            pad = 0.02 * (high - low)
            axes[column] = Axis.between(leaf, max(low - pad, leaf.low), min(high + pad, leaf.high))
        return axes
