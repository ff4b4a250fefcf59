"""README's picture: a command makes it anew, of answers that agree with what was asked."""

import matplotlib.image
import matplotlib.pyplot as plt
import pytest
import torch

from experiments import front_page
from experiments.__main__ import main


def test_the_command_writes_a_small_picture(tmp_path):
    path = tmp_path / "picture.png"
    assert main(["figure", "front-page", "--epochs", "1", "--draws", "2", "--no-progress", "--output", str(path)]) == 0
    height, width, _ = matplotlib.image.imread(path).shape
    assert width > 2 * height
    assert path.stat().st_size < 150_000


def test_a_title_says_what_is_true(tmp_path, monkeypatch):
    monkeypatch.setattr(plt, "close", lambda _: None)
    images, probs = torch.rand(3, 1, 8, 8), torch.full((3, 10), 0.1)
    true = torch.tensor([[7.0, 0.25], [0.0, 0.3], [4.0, 0.35]])
    drawn = [torch.rand(2, 1, 8, 8)] * len(front_page.ASKED)
    front_page.picture(tmp_path / "picture.png", drawn, (images, probs, torch.tensor([0.11, 0.12, 0.13]), true))
    titles = [axis.get_title() for axis in plt.gcf().axes if axis.get_title()]
    monkeypatch.undo()
    plt.close("all")
    assert titles == ["true 7, ink 0.25 (told 0.11)", "true 0, ink 0.30 (told 0.12)", "true 4, ink 0.35 (told 0.13)"]


def test_attributes_are_what_they_say():
    images, attributes = front_page.attributed("test")
    assert attributes.shape == (len(images), 2)
    assert set(attributes[:, 0].tolist()) == set(range(10))
    torch.testing.assert_close(attributes[:, 1], images.flatten(1).mean(-1))


def test_inks_have_the_scale_of_what_is_seen():
    ink = front_page.Ink.of(torch.tensor([0.1, torch.nan, 0.3, torch.nan]))
    standard = ink.standard(torch.tensor([0.1, 0.3]))
    torch.testing.assert_close(standard, torch.tensor([-1.0, 1.0]) / 2**0.5)
    assert ink.standardised({"digit": 3, "ink": ink.mean}) == {"digit": 3, "ink": 0.0}


@pytest.mark.parametrize("flags", [["--epochs", "0"], ["--draws", "0"], ["--seed", "-1"]])
def test_mistakes_end_before_anything_is_trained(flags, tmp_path, capsys):
    assert main(["figure", "front-page", *flags, "--output", str(tmp_path / "a.png")]) == 2
    assert flags[0].strip("-") in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
