"""Labels that are missing (NaN): every metric that takes labels leaves them out, and says when none is left."""

import inspect
import math

import pytest
import torch

from models.shared import answers
from pyro_priors import metrics
from pyro_priors.data.images import Images
from pyro_priors.distributions import CategoricalGaussian

ROWS, K = 60, 4
MISSING = (torch.rand(ROWS, generator=torch.Generator().manual_seed(1)) < 0.4) & (torch.arange(ROWS) > 1)


def probs(count=ROWS):
    return torch.rand(ROWS, K, generator=torch.Generator().manual_seed(2)).softmax(-1)[:count]


def labels():
    drawn = torch.rand(ROWS, generator=torch.Generator().manual_seed(3))
    return torch.where(drawn < 0.5, probs().argmax(-1), (K * drawn).long() % K).float()


def of(metric):
    return lambda rows, truth: metric(probs()[rows], truth)


def gap(rows, truth):
    """Of latents that tell the labels and some noise; the first two rows, which are known, have their range."""
    noise = torch.rand(ROWS, 2, generator=torch.Generator().manual_seed(4))
    latents = torch.cat([labels()[:, None] + noise[:, :1], noise[:, 1:]], 1)
    latents[0], latents[1] = -1.0, K + 1.0
    return metrics.mutual_information_gap(latents[rows], truth[:, None])


class Stub:
    """A model with categories, as `CategoryMetrics` wants it."""

    def posterior(self, x):
        from pyro.distributions import Categorical, Normal

        return Categorical(probs(len(x))), Normal(torch.zeros(K, len(x), 2), 1.0)

    def prior(self):
        return CategoricalGaussian(torch.zeros(K, 2), torch.ones(K, 2))


def each_epoch(rows, truth):
    """By the callback; all images are looked at, labelled or not."""
    row = metrics.CategoryMetrics(Stub(), torch.zeros(len(truth), 1, 2, 2), truth).on_epoch_end(None)
    return {name: value for name, value in row.items() if not name.startswith("kl_")}


METRICS = {  # with what they are given -> rows and labels to a number or several; what there is where none is known
    "clusters": (of(metrics.clusters), ValueError),
    "imputation": (of(metrics.imputation), math.nan),
    "calibration": (of(metrics.calibration), math.nan),
    "accuracy_coverage": (of(metrics.accuracy_coverage), 0),
    "mutual_information_gap": (gap, ValueError),
    "CategoryMetrics": (each_epoch, ValueError),
}


def test_every_metric_with_labels_is_looked_at():
    def takes_labels(kind):
        call = kind.__init__ if inspect.isclass(kind) else kind
        return {"labels", "truth", "factors"} & set(inspect.signature(call).parameters)

    public = {name: getattr(metrics, name) for name in metrics.__all__}
    results = {name for name, kind in public.items() if hasattr(kind, "_fields")}
    assert {name for name, kind in public.items() if name not in results and takes_labels(kind)} == set(METRICS)


def numbers(result):
    """Whatever it is, as a list; how many categories are used is no matter of labels."""
    if hasattr(result, "_asdict"):
        result = result._asdict()
    if isinstance(result, dict):
        return [number for name, value in result.items() if name != "used" for number in numbers(value)]
    return torch.as_tensor(result).double().flatten().tolist()


@pytest.mark.parametrize("name", METRICS)
def test_missing_labels_are_left_out(name):
    metric, _ = METRICS[name]
    everything, known = torch.arange(ROWS), (~MISSING).nonzero()[:, 0]
    hidden = labels().masked_fill(MISSING, torch.nan)
    if name == "CategoryMetrics":  # its model is asked of all images
        expected = METRICS["clusters"][0](known, hidden[known])
    else:
        expected = metric(known, hidden[known])
    assert numbers(metric(everything, hidden)) == pytest.approx(numbers(expected), nan_ok=True)
    assert numbers(metric(everything, hidden)) != numbers(metric(everything, labels()))


@pytest.mark.parametrize("name", METRICS)
def test_none_that_is_known_is_told(name):
    metric, expected = METRICS[name]
    nothing = torch.full((ROWS,), torch.nan)
    if expected is ValueError:
        with pytest.raises(ValueError, match=r"(labels|factors): expected .* known.*(missing|NaN)"):
            metric(torch.arange(ROWS), nothing)
    elif expected == 0:
        assert all(len(part) == 0 for part in metric(torch.arange(ROWS), nothing))
    else:
        result = metric(torch.arange(ROWS), nothing)
        assert math.isnan(result.ece)
        assert not torch.as_tensor(result.count).any()


def test_labels_of_whole_numbers_are_all_known():
    whole = metrics.clusters(probs(), labels().long())
    assert whole == metrics.clusters(probs(), labels())
    assert whole.accuracy > 0.4


def test_factors_are_known_where_they_are_known():
    """Each factor over its own rows: one that is known nowhere else does not hide another."""
    first, second = torch.arange(40.0) % 4, torch.arange(40.0) % 5
    latents = torch.stack([first, second], -1)
    gaps = [metrics.mutual_information_gap(latents, factor[:, None]) for factor in (first, second)]
    first, second = first.clone(), second.clone()
    first[20:], second[:20] = torch.nan, torch.nan
    assert metrics.mutual_information_gap(latents, torch.stack([first, second], -1)) == pytest.approx(sum(gaps) / 2)
    with pytest.raises(ValueError, match=r"factors: expected each to vary, got one that never does \(column 1\)"):
        metrics.mutual_information_gap(latents, torch.stack([first, second * 0], -1))


def test_labels_of_other_images_are_told_before_training():
    with pytest.raises(ValueError, match=r"labels: expected shape \(3,\) as x has it, got \(2,\)"):
        metrics.CategoryMetrics(Stub(), torch.zeros(3, 1, 2, 2), torch.zeros(2))


def test_models_judge_by_labels_only_where_one_is_known():
    pixels = torch.zeros(3, 1, 2, 2)
    hidden = torch.tensor([[torch.nan], [1.0], [torch.nan]])
    assert answers.classes(Images(pixels, hidden=hidden)).isnan().tolist() == [True, False, True]
    assert answers.classes(Images(pixels, hidden=hidden), 1) is None
    assert answers.classes(Images(pixels)) is None
