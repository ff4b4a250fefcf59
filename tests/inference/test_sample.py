"""`sample`: how many pictures, of which rows."""

from types import SimpleNamespace

import pytest
import torch

from inference import sample
from models.shared import figures, figures_attributes, runs
from pyro_priors.checks import UserError
from pyro_priors.data.attributes import Attribute

ATTRIBUTES = (Attribute("side", ("left", "right")), Attribute("bright", ("0", "1")), Attribute("age", None, 40.0, 10.0))


@pytest.fixture
def rows(monkeypatch, tmp_path):
    """`rows(given, n)` runs the command on a model that draws nothing but zeros -> {title: number of pictures}."""
    drawn = {}
    config = SimpleNamespace(model="joint-vae", title="joint-vae", generates=True)
    config.counts_categories = config.infers_categories = False
    run = SimpleNamespace(folder=tmp_path, config=config, attributes=ATTRIBUTES)
    model = SimpleNamespace(generate=lambda n, **_: torch.zeros(n, 1, 2, 2))
    monkeypatch.setattr(runs, "trained", lambda _: (run, model))
    for module, name in ((figures, "samples"), (figures_attributes, "attribute_grid")):
        monkeypatch.setattr(module, name, lambda _, pictures: drawn.update(pictures))

    def drawn_by(*given, n=None):
        sample.main(sample.Sample(run=tmp_path, given=given, n=n))
        return {title: len(pictures) for title, pictures in drawn.items()}

    return drawn_by


@pytest.mark.parametrize(
    ("given", "n", "expected"),
    [
        ((), None, {"joint-vae": 100}),
        (("side=left",), None, {"side=left": 100}),
        (("side=left", "side=right"), None, {"side=left": 10, "side=right": 10}),
        (("side=left", "side=left,bright=1"), 4, {"side=left": 4, "side=left, bright=1": 4}),
        (("age=40",), 7, {"age=40": 7}),
    ],
)
def test_number_of_pictures(rows, given, n, expected):
    assert rows(*given, n=n) == expected


@pytest.mark.parametrize(
    ("given", "twice"),
    [
        (("side=left", "side=left"), "side=left"),
        (("side=left", "bright=1", "SIDE = left"), "side=left"),
        (("side=left,bright=1", "bright=1.0,side=left"), "bright=1, side=left"),
        (("age=52", "age=52.00000001"), "age=52"),  # one title: one of the rows would be lost
    ],
)
def test_equal_rows_are_refused(rows, given, twice):
    with pytest.raises(UserError, match=f"given: expected each row of images once, got {twice} twice"):
        rows(*given)


def test_bad_numbers(rows):
    with pytest.raises(UserError, match="n: expected at least 1, got 0"):
        rows(n=0)
    with pytest.raises(UserError, match=r"given: age: expected a number at most 1e\+15 standard .*, got '1e30'"):
        rows("age=1e30")
