"""README's picture: a command makes it anew, of answers that agree with what was asked."""

import matplotlib.image
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
