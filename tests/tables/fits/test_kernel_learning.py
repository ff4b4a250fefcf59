"""What rows weigh among exemplars, and when their kernels are learned."""

import numpy as np
import pytest
import torch
from hand_law import hand_law, hand_leaves

from pyro_priors.tables.answers.answers import Answers
from pyro_priors.tables.fits.expecting import expected
from pyro_priors.tables.fits.kernel_learning import KernelTraining, learn_kernels
from pyro_priors.tables.laws.exemplars import Exemplars
from pyro_priors.tables.laws.law import EMPHASIS, with_exemplars
from pyro_priors.tables.laws.wide_law import WideLaw


def drawn(law, count, seed):
    torch.manual_seed(seed)
    return law.codes(law.law().sample((count,)))


def remembered(wide, codes, weight=None):
    rows = wide.rows(codes.numpy())
    return Exemplars(rows, expected(wide, rows), weight)


def test_a_row_of_weight_two_is_two_rows_to_all_that_are_not_equal_to_it():
    law = hand_law(0, hand_leaves(whole=None))
    wide, rows, new = WideLaw(law), drawn(law, 6, seed=0), drawn(law, 5, seed=1).numpy()
    new[np.random.default_rng(0).random(new.shape) < 0.3] = np.nan
    weight = torch.tensor([1.0, 2, 1, 3, 1, 1])
    weighed = remembered(wide, rows, weight).requires_grad_(False)
    copied = remembered(wide, rows.repeat_interleave(weight.long(), 0)).requires_grad_(False)
    one, other = (Answers([with_exemplars(law, each)]) for each in (weighed, copied))
    np.testing.assert_allclose(one.log_score(new), other.log_score(new), rtol=1e-10)
    np.testing.assert_allclose(one.fill(new), other.fill(new), rtol=1e-8)
    part = weighed.at(torch.tensor([1, 3, 4]))
    torch.testing.assert_close(part.log_weight.exp(), torch.tensor([2.0, 3, 1], dtype=torch.float64) / 6)


def test_kernels_are_learned_for_the_rows_that_count():
    """Half of the rows are pairs of equal ones, which copies explain."""
    law = hand_law(0, hand_leaves(whole=None))
    wide, codes = WideLaw(law), torch.cat([drawn(law, 40, seed=0).repeat(2, 1), drawn(law, 80, seed=1)])
    shares = []
    for pairs, others in ((9.0, 1.0), (1.0, 9.0)):
        weight = torch.cat([torch.full((80,), pairs), torch.full((80,), others)])
        exemplars = remembered(wide, codes, weight)
        learn_kernels(wide, exemplars, codes, weight, torch.Generator().manual_seed(0), 40)
        shares.append(float(exemplars.share.detach()))
    assert shares[0] > shares[1] + 1.0


def test_the_loss_is_of_hidden_cells_together_and_of_each_category_alone():
    law = hand_law(0, hand_leaves(whole=None))
    wide, codes = WideLaw(law), drawn(law, 12, seed=0)
    exemplars = remembered(wide, codes)
    training = KernelTraining(wide, exemplars, codes, None, torch.Generator().manual_seed(1))
    some = torch.arange(12)[training.asked >= 8]  # rows that are none of those beside
    losses, expected_losses = [], []
    for width, copied in ((-1.0, 0.3), (0.2, -0.5)):  # of two kernels: densities' slopes are the same
        exemplars.log_width.data.fill_(width)
        exemplars.copied.data.fill_(copied)
        losses.append(float(training.loss(some, torch.arange(8)).detach()))
        kept = remembered(wide, codes[:8]).requires_grad_(False)
        kept.log_width.fill_(width)
        kept.copied.fill_(copied)
        score = Answers([with_exemplars(law, kept)]).log_score
        total = 0.0
        for row, known in zip(codes[training.asked[some]].numpy(), training.pairs[some, 1], strict=True):
            gone = np.array([bool(known[list(places)].isnan().all()) for places in law.columns])
            seen = np.where(gone, np.nan, row)
            total += score(row[None])[0] - score(seen[None])[0]
            for column in np.flatnonzero(gone):
                if wide.places[column].score is None:
                    shown = seen.copy()
                    shown[column] = row[column]
                    total += (EMPHASIS - 1) * (score(shown[None])[0] - score(seen[None])[0])
        expected_losses.append(-float(total) / float(training.hidden[some].sum()))
    assert losses[0] - losses[1] == pytest.approx(expected_losses[0] - expected_losses[1], rel=1e-9)
