"""Data sets that are not there are downloaded: whole, to where they are looked for, and once."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset
from torchvision import datasets

from pyro_priors.checks import UserError
from pyro_priors.data.loading import load


def test_what_is_downloaded_is_kept(tmp_path, monkeypatch):
    """An interrupted download leaves nothing where the data are looked for."""
    asked = []

    def mnist(root, train, download):
        path = Path(root) / "MNIST" / "images.pt"
        if download:
            asked.append(root)
            path.parent.mkdir()
            torch.save(torch.arange(60, dtype=torch.uint8).repeat(28, 28, 1).movedim(-1, 0), path)
            if len(asked) == 1:
                raise OSError("the line is dead")
        if not path.exists():
            raise RuntimeError("Dataset not found")
        images = torch.load(path)
        kept = TensorDataset(images)
        kept.data, kept.targets = images, images[:, 0, 0] % 10
        return kept

    monkeypatch.setattr(datasets, "MNIST", mnist)
    with pytest.raises(UserError, match="the line is dead"):
        load("mnist", tmp_path / "data")
    assert not (tmp_path / "data").exists()
    for _ in range(2):
        data = load("mnist", tmp_path / "data")
        assert data.test.pixels[:, 0, 0, 0].tolist() == list(range(60))
    assert len(asked) == 2
    assert not any(Path(folder).exists() for folder in asked)
