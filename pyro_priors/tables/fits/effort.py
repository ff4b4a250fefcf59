"""How much a fit spends on exemplars, which follows from its number of steps, so that this repeats all of it."""

from typing import NamedTuple

from pyro_priors.tables.fits.kernel_learning import STEPS

EXEMPLARS = 5000  # rows that are remembered, of more some at random
FULL = 400  # steps of a fit from which on its exemplars get all of their time
LEAST_ROWS, LEAST_STEPS = 1000, 40  # of what they get of a fit of fewer
LEAST_ANSWERED = 200  # rows that such a law answers
SHARE = 0.15  # of a budget that exemplars are given, and what their law is asked


class Effort(NamedTuple):
    """How many rows may become exemplars while kernels are learned and judged, and steps of learning these."""

    rows: int
    steps: int

    @classmethod
    def of(cls, steps: int, most: int) -> "Effort":
        """What a fit of so many steps spends on them: of no less than `FULL` steps all, of fewer a part.

        Example:
            >>> Effort.of(200, 5000), Effort.of(3000, 150)
            (Effort(rows=2500, steps=40), Effort(rows=150, steps=80))
        """
        share = min(1.0, steps / FULL)
        return cls(min(most, max(LEAST_ROWS, int(most * share))), max(LEAST_STEPS, int(STEPS * share)))

    def answered(self, judged: int) -> int:
        """Of so many rows those for whose hidden cells a law with exemplars is asked all answers."""
        return min(judged, max(LEAST_ANSWERED, judged * self.steps // STEPS))
