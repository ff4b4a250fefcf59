"""The table of readers: whole, lazy, and every file read but once for a training."""

import csv
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from experiments.__main__ import main
from pyro_priors.data import csv_files
from pyro_priors.data.image_files import ImageFiles
from pyro_priors.data.loading import load
from pyro_priors.data.names import DataName
from pyro_priors.data.readers import READERS

FILES = ("attributes.csv", "partition.csv", "images.zip")


@pytest.fixture
def folder(tmp_path):
    """Twelve images in an archive, with labels and parts."""
    root = tmp_path / "data"
    root.mkdir()
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for index in range(12):
            Image.new("RGB", (28, 28), (index, 0, 0)).save(root / "image.png")
            archive.write(root / "image.png", f"{index:02d}.png")
    (root / "image.png").unlink()
    names = [f"{index:02d}.png" for index in range(12)]
    (root / "attributes.csv").write_text("image,odd\n" + "".join(f"{n},{i % 2}\n" for i, n in enumerate(names)))
    (root / "partition.csv").write_text("image,partition\n" + "".join(f"{n},{i // 4}\n" for i, n in enumerate(names)))
    return root


@pytest.fixture
def opened(monkeypatch):
    """How often each of `FILES` is opened, by its name, and read as a CSV file."""
    counts, plain, plain_zip, plain_csv = Counter(), Path.open, zipfile.ZipFile.__init__, csv.reader

    def opening(path, *args, **how):
        counts[path.name] += 1
        return plain(path, *args, **how)

    def unzipping(self, path, *args, **how):
        counts[Path(path).name] += 1
        return plain_zip(self, path, *args, **how)

    def parsing(*args, **how):
        counts["parsed"] += 1
        return plain_csv(*args, **how)

    monkeypatch.setattr(Path, "open", opening)
    monkeypatch.setattr(Path, "read_bytes", lambda path: path.open("rb").read())
    monkeypatch.setattr(zipfile.ZipFile, "__init__", unzipping)
    monkeypatch.setattr(csv_files.csv, "reader", parsing)
    return counts


def test_every_name_has_a_reader():
    assert tuple(READERS) == get_args(DataName)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("attributes", [None, ()])
def test_files_are_read_once_a_load(folder, opened, attributes):
    load("folder", folder, image_size=8, attributes=attributes)
    assert {name: opened[name] for name in FILES} == dict.fromkeys(FILES, 1)
    assert opened["parsed"] == 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_files_are_read_once_a_training(folder, opened, tmp_path):
    small = ["--channels", "2", "--epochs", "1", "--batch-size", "4", "--no-progress"]
    where = ["--data-root", str(folder), "--image-size", "28", "--runs-dir", str(tmp_path / "runs")]
    assert main(["train", "classifier", "--data", "folder", *where, *small]) == 0
    assert {name: opened[name] for name in FILES} == dict.fromkeys(FILES, 1)


def test_mistakes_in_labels_come_out_before_anything_is_decoded(folder, monkeypatch):
    decoded, plain = [], ImageFiles.decode
    monkeypatch.setattr(ImageFiles, "decode", lambda self, name: decoded.append(name) or plain(self, name))
    for cells, message in (("1.5,", "attributes: expected a known odd"), ("1", "column image")):
        names = [f"{index:02d}.png" for index in range(4, 12)] + (["99.png"] if message == "column image" else [])
        text = "".join(f"{name},{cells[:1]}\n" for name in names)
        unknown = "".join(f"{index:02d}.png,\n" for index in range(4))
        (folder / "attributes.csv").write_text(f"image,odd\n{text}{unknown}")
        with pytest.raises(ValueError, match=message):
            load("folder", folder, image_size=8, attributes=())
    assert decoded == []


def test_readers_are_imported_where_they_are_used():
    slow = "torchvision", "PIL", "sklearn", "scipy", "safetensors", "matplotlib", "lightning_fabric"
    code = f"import sys, pyro_priors.data.loading\nprint([name for name in {slow} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
