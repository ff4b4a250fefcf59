"""What a fit spends beside its steps, foretold from small pieces of it, so that a budget is what it says."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from pyro_priors.data.schema import Field
from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.fits.calibration import hold_out
from pyro_priors.tables.fits.descent import Judge
from pyro_priors.tables.fits.expecting import expected
from pyro_priors.tables.fits.kernel_learning import ASKED, BATCH, BESIDE, RATE, STEPS, KernelTraining, gain
from pyro_priors.tables.laws.exemplars import Exemplars
from pyro_priors.tables.laws.law import TableLaw, with_exemplars
from pyro_priors.tables.laws.wide_law import WideLaw

EXEMPLARS = 5000  # rows that are remembered, of more some at random
FULL = 400  # steps of a fit from which on its exemplars get all of their time
LEAST_ROWS, LEAST_STEPS = 1000, 40  # of what they get of a fit of fewer
LEAST_ANSWERED = 200  # rows that such a law answers
PIECE, PIECES = 24, 96  # rows by which their time is foretold
LOOKS = 4  # of the judge, at laws that are widened


class Effort(NamedTuple):
    """How many rows may become exemplars, and steps of learning their kernels."""

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
        return cls(min(most, max(LEAST_ROWS, int(EXEMPLARS * share))), max(LEAST_STEPS, int(STEPS * share)))

    def answered(self, judged: int) -> int:
        """Of so many rows those for whose hidden cells a law with exemplars is asked all answers."""
        return min(judged, max(LEAST_ANSWERED, judged * self.steps // STEPS))


class Prices(NamedTuple):
    """Seconds for a row, but for `answers`, `step` and `look`; those that end in `beside` for each exemplar as well.

    Args:
        answers, answer, answer_beside: of all answers for hidden cells, whatever their number, and for a row's.
        look: of the judge, for all rows.
        expect: of what the chain expects in a row's cells.
        chain, beside: of a row's probability.
        step: of learning kernels.
    """

    answers: float
    answer: float
    look: float
    answer_beside: float = 0.0
    expect: float = 0.0
    chain: float = 0.0
    beside: float = 0.0
    step: float = 0.0

    def always(self, judged: int) -> float:
        """What follows the steps of every fit, of so many rows of the judge."""
        return self.answers + judged * self.answer + LOOKS * self.look

    def exemplars(self, effort: Effort, rows: int, train: int, judged: int) -> float:
        """What exemplars take beside that, of a table of so many rows, of which some are in the training."""
        tried, joined = min(effort.rows, train), min(effort.rows, rows)
        learning = 2 * min(ASKED, tried) * self.chain + effort.steps * self.step
        judging = 2 * judged * (self.chain + tried * self.beside)
        answering = effort.answered(judged) * tried * self.answer_beside
        return (tried + joined) * self.expect + learning + judging + answering


def prices(law: TableLaw, judge: Judge, fields: Sequence[Field], exemplars: bool) -> Prices:
    """Measured on a few rows of the judge, for a law that begins to be trained; nothing of it is changed.

    Args:
        law: of the chain alone.
        judge: has the rows.
        fields: what the columns are.
        exemplars: whether these are asked for: else their prices are 0.
    """

    def answered(law: TableLaw, rows: int) -> float:
        """Its answers for the hidden cells."""
        codes, hidden = judge.codes[:rows].numpy(), judge.hidden[:rows].numpy()
        return _timed(lambda: hold_out(Answers([law]), fields, codes, hidden))[0]

    with torch.random.fork_rng(devices=[]):
        look, _ = _timed(lambda: judge(law))
        few, count = min(PIECE, len(judge.codes)), min(PIECES, len(judge.codes))
        if not exemplars or few == count:
            return Prices(0.0, answered(law, few) / few, look)
        wide, codes = WideLaw(with_exemplars(law, None)), judge.codes[:count]
        expect, slabs = _timed(lambda: expected(wide, wide.rows(codes.numpy())))
        many = torch.arange(BESIDE) % count  # as if they were so many
        made = Exemplars(wide.rows(codes.numpy()), slabs).at(many)
        chain, training = _timed(lambda: KernelTraining(wide, made, codes[many], None, torch.Generator(), BATCH))
        step, _ = _timed(lambda: training.step(RATE))
        made.requires_grad_(False)
        both, _ = _timed(lambda: gain(wide, made, codes, judge.hidden[:count]))
        of_few = with_exemplars(law, made.at(torch.arange(few)))
        times = [answered(of_few, few), answered(of_few, count), answered(with_exemplars(law, made), count)]
    chain /= 2 * BATCH
    beside = max(0.0, both - 2 * count * chain) / (2 * count * BESIDE)
    answer = max(0.0, times[1] - times[0]) / (count - few)
    answer_beside = max(0.0, times[2] - times[1]) / (count * (BESIDE - few))
    always = max(0.0, times[0] - few * answer)
    return Prices(always, answer, look, answer_beside, expect / count, chain, beside, step)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result
