"""Data sets: reading by the batch, torchvision's layouts in miniature, the user's folder, and what goes wrong."""

import gzip
import struct
from urllib.error import URLError

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from torchvision import datasets
from torchvision_files import write_celeba, write_cifar10

from pyro_priors.checks import UserError
from pyro_priors.data.attributes import Attribute
from pyro_priors.data.images import Images, loader, split
from pyro_priors.data.loading import load

RNG = np.random.default_rng(0)


def write_idx(path, array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.tobytes())


def write_mnist(folder, train=60, test=10):
    pixels = {
        "train": RNG.integers(0, 256, (train, 28, 28), np.uint8),
        "t10k": RNG.integers(0, 256, (test, 28, 28), np.uint8),
    }
    for part, array in pixels.items():
        write_idx(folder / "raw" / f"{part}-images-idx3-ubyte", array)
        # The first pixel tells the label.
        write_idx(folder / "raw" / f"{part}-labels-idx1-ubyte", array[:, 0, 0] % 10)
    return pixels


@pytest.fixture
def offline(monkeypatch):
    """No test reaches for the network, and files need no checksums."""

    def refuse(*args, **kwargs):
        raise URLError("no network")

    for module in (datasets.mnist, datasets.cifar, datasets.omniglot):
        monkeypatch.setattr(module, "download_and_extract_archive", refuse)
    monkeypatch.setattr(datasets.svhn, "download_url", refuse)
    monkeypatch.setattr(datasets.celeba, "download_file_from_google_drive", refuse)


def test_images_are_read_by_the_batch_and_scaled():
    images = Images(torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1) * 51)
    assert images[5].item() == 1.0
    batches = list(loader(images, 4))
    assert [batch.shape for batch in batches] == [(4, 1, 1, 1), (2, 1, 1, 1)]
    torch.testing.assert_close(torch.cat(batches).flatten(), torch.arange(6) / 5)


def test_shuffled_loader_reads_every_image_once():
    images = Images(torch.arange(100.0).view(100, 1, 1, 1))
    read = torch.cat(list(loader(images, 7, shuffle=True))).flatten()
    assert read.tolist() != list(range(100))
    assert sorted(read.tolist()) == list(range(100))


def test_split_is_a_partition_and_always_the_same():
    parts = split(torch.arange(100), validation=0.1, test=0.2)
    assert [len(part) for part in parts] == [70, 10, 20]
    assert sorted(torch.cat(parts).tolist()) == list(range(100))
    assert all(torch.equal(a, b) for a, b in zip(parts, split(torch.arange(100), 0.1, 0.2), strict=True))


def test_dynamic_binarisation_is_fresh_for_training_and_fixed_for_test():
    data = load("digits", binarize="dynamic")
    first, second = data.train.first(), data.train.first()
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    again = load("digits", binarize="dynamic")
    assert torch.equal(data.test.first(), again.test.first())
    assert torch.equal(data.validation.first(), again.validation.first())
    # The mean over readings is the grey value: 400 readings of 64 pixels, 5 standard errors of 0.5 / 20.
    grey = load("digits").train.first(1)
    mean = torch.stack([data.train.first(1) for _ in range(400)]).mean(0)
    assert (mean - grey).abs().max() < 0.125


def test_dynamic_binarisation_draws_the_numbers_of_torch_bernoulli():
    pixels = torch.randint(256, (200, 1, 28, 28), dtype=torch.uint8)
    draws = []
    for read in (lambda: Images(pixels, binarize=True).first(), lambda: torch.bernoulli(pixels.float() / 255)):
        torch.manual_seed(3)
        draws.append((read(), read(), torch.rand(1)))
    assert all(map(torch.equal, *draws))


def test_only_grey_values_are_binarised():
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match=r"binarize: expected values in \[0, 1\], got"):
            Images(torch.tensor([0.5, wrong]).reshape(2, 1, 1, 1), binarize=True)


@pytest.mark.parametrize(
    ("name", "shape", "count"),
    [
        ("moons", (1, 1, 2), 10_000),
        ("gaussians", (1, 1, 1), 50_000),
        ("grid", (1, 1, 2), 50_000),
        ("ring", (1, 1, 2), 50_000),
    ],
)
def test_generated_points(name, shape, count):
    data = load(name)
    assert data.image_shape == shape
    assert len(data.train) + len(data.validation) + len(data.test) == count


def test_gaussians_are_the_toy_of_cp_vae():
    values = load("gaussians").train.first().flatten()
    upper = values[values > 0.5]
    assert abs(len(upper) / len(values) - 0.5) < 0.02
    assert abs(upper.mean() - 0.7) < 0.002
    assert abs(upper.std() - 0.05) < 0.002


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_mnist_layout(tmp_path, name, folder):
    pixels = write_mnist(tmp_path / folder)
    data = load(name, tmp_path)
    assert (data.image_shape, len(data.train), len(data.validation), len(data.test)) == ((1, 28, 28), 50, 10, 10)
    assert np.array_equal(data.validation.pixels[:, 0], pixels["train"][50:])
    assert np.array_equal(data.test.pixels[:, 0], pixels["t10k"])
    assert data.attributes == ()
    assert data.train.labels is data.test.labels is data.train.hidden is None
    labelled = load(name, tmp_path, attributes=())
    assert labelled.attributes == (Attribute("digit" if name == "mnist" else "class", tuple("0123456789")),)
    for part, same in zip(labelled[2:5], data[2:5], strict=True):
        assert torch.equal(part.pixels, same.pixels)
        assert torch.equal(part.labels[:, 0], (part.pixels[:, 0, 0, 0] % 10).float())
        assert part.hidden.isnan().all()


def test_data_root_from_the_environment(tmp_path, monkeypatch):
    write_mnist(tmp_path / "MNIST")
    monkeypatch.setenv("PYRO_PRIORS_DATA", str(tmp_path))
    assert len(load("mnist").test) == 10


def test_cifar10_layout(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    data = load("cifar10", tmp_path)
    assert (data.image_shape, len(data.train), len(data.validation), len(data.test)) == ((3, 32, 32), 18, 2, 4)
    assert data.train.pixels[17].amax((1, 2)).tolist() == [4, 0, 0]
    labelled = load("cifar10", tmp_path, attributes=())
    assert labelled.attributes == (Attribute("class", tuple("0123456789")),)
    for part in labelled[2:5]:
        assert torch.equal(part.labels[:, 0], part.pixels.amax((1, 2, 3)).float())


def test_svhn_layout(tmp_path, monkeypatch):
    for part, count in (("train", 20), ("test", 6)):
        url, file, _ = datasets.SVHN.split_list[part]
        monkeypatch.setitem(datasets.SVHN.split_list, part, [url, file, None])
        digits = np.arange(count) % 10
        pixels = np.broadcast_to(digits.astype(np.uint8), (32, 32, 3, count))
        scipy.io.savemat(tmp_path / file, {"X": pixels, "y": np.where(digits == 0, 10, digits)[:, None]})  # 10 means 0
    data = load("svhn", tmp_path)
    assert (data.image_shape, len(data.train), len(data.validation), len(data.test)) == ((3, 32, 32), 18, 2, 6)
    for part in load("svhn", tmp_path, attributes=("digit",))[2:5]:
        assert torch.equal(part.labels[:, 0], part.pixels[:, 0, 0, 0].float())


def test_celeba_layout(tmp_path, monkeypatch):
    names = write_celeba(tmp_path, monkeypatch)
    folder = tmp_path / "celeba"
    data = load("celeba", tmp_path, image_size=32)
    assert (data.image_shape, len(data.train), len(data.validation), len(data.test)) == ((3, 32, 32), 3, 2, 2)
    assert (data.train.pixels[:, 0] > 190).all()
    labelled = load("celeba", tmp_path, image_size=32, attributes=())
    assert [attribute.name for attribute in labelled.attributes] == ["male", "no_beard"]
    assert [part.labels.tolist() for part in labelled[2:5]] == [
        [[1, 0], [0, 0], [1, 1]],
        [[0, 1], [1, 0]],
        [[0, 0], [1, 0]],
    ]
    chosen = load("celeba", tmp_path, image_size=32, attributes=("MALE", "man_or_beard=male|!no_beard"))
    assert chosen.attributes[0] == Attribute("MALE", ("0", "1"))
    assert chosen.validation.labels.tolist() == [[0, 0], [1, 1]]
    (folder / "img_align_celeba" / names[0]).unlink()
    assert torch.equal(load("celeba", tmp_path, image_size=32).train.pixels, data.train.pixels)  # decoded once


def test_how_much_of_a_face_is_used(tmp_path, monkeypatch):
    names = write_celeba(tmp_path, monkeypatch)
    face = Image.new("RGB", (178, 218))
    face.paste((255, 255, 255), (15, 0, 163, 218))  # 148 columns in the middle
    face.save(tmp_path / "celeba" / "img_align_celeba" / names[0], quality=100)
    for crop, edge in ((148, 255), (160, 0)):
        row = load("celeba", tmp_path, image_size=crop, crop=crop).train.pixels[0, 0, 80]
        assert abs(int(row[0]) - edge) < 10
        assert row[80] > 245
    with pytest.raises(UserError, match=r"crop: expected at most 178 pixels, as .* has, got 179"):
        load("celeba", tmp_path, crop=179)


def test_omniglot_from_npz_and_from_torchvision(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.Omniglot, "zips_md5", dict.fromkeys(datasets.Omniglot.zips_md5))
    for part in ("images_background", "images_evaluation"):
        folder = tmp_path / "omniglot-py" / part / "Greek" / "character01"
        folder.mkdir(parents=True)
        (tmp_path / "omniglot-py" / f"{part}.zip").touch()
        for index in range(20):
            paper = Image.new("1", (105, 105), 1)
            paper.paste(0, (0, 0, 105, 50))
            paper.save(folder / f"{index}.png")
    data = load("omniglot", tmp_path)
    assert (data.image_shape, len(data.train), len(data.validation), len(data.test)) == ((1, 28, 28), 28, 2, 10)
    assert data.train.pixels[0, 0, 0, 0] == 255  # ink
    assert data.train.pixels[0, 0, -1, 0] == 0  # paper
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == ["omniglot28.npz"]
    np.savez(tmp_path / "omniglot28.npz", images=np.full((40, 28, 28), 7, np.uint8))
    assert load("omniglot", tmp_path).train.pixels.unique().tolist() == [7]


@pytest.mark.parametrize("content", [b"no archive", b"PK\x03\x04 truncated", b""])
@pytest.mark.parametrize(("name", "file"), [("omniglot", "omniglot28.npz"), ("celeba", "celeba/train-crop148-64.npy")])
def test_damaged_arrays(tmp_path, name, file, content):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=rf"data: expected numpy arrays in .*{file}, got a damaged file"):
        load(name, tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "omniglot", "cifar10", "svhn", "celeba"])
def test_data_that_are_not_there(tmp_path, offline, capsys, name):
    root = tmp_path / "nowhere"
    with pytest.raises(UserError, match=rf"data: expected {name} at .*nowhere.*download failed.*--data-root"):
        load(name, root)
    assert not root.exists()


def test_truncated_mnist_is_not_half_read(tmp_path):
    write_mnist(tmp_path / "MNIST")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(UserError, match="data: expected torchvision's files of mnist at"):
        load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "minst"}, "data: expected one of digits, mnist, .*got 'minst'"),
        ({"name": "digits", "binarize": "static"}, "binarize: expected 'none' or 'dynamic', got 'static'"),
        ({"name": "moons", "binarize": "dynamic"}, r"binarize: expected values in \[0, 1\], got"),
        ({"name": "moons", "attributes": ()}, "attributes: expected a data set that has some, got moons"),
        ({"name": "gaussians", "attributes": ("x",)}, "attributes: expected a data set that has some, got gaussians"),
        ({"name": "omniglot", "attributes": ()}, "attributes: expected a data set that has some, got omniglot"),
        ({"name": "digits", "attributes": ("colour",)}, "attributes of digits: expected one of digit, got 'colour'"),
        (
            {"name": "digits", "attributes": ("even=digit",)},
            r"digits: expected binary attributes in name=A\|!B, got even",
        ),
        ({"name": "digits", "attributes": (), "missing": 1.0}, r"missing: expected a share in \[0, 1\), got 1.0"),
        ({"name": "digits", "attributes": (), "missing": -0.1}, r"missing: expected a share in \[0, 1\), got -0.1"),
        ({"name": "digits", "attributes": (), "missing": float("nan")}, r"missing: expected a share in .*, got nan"),
        ({"name": "digits", "missing": 0.7}, "missing: expected 0 where no attributes are read, got 0.7"),
        ({"name": "digits", "attributes": (), "seed": -1}, "seed: expected 0 to 2147483647, got -1"),
        (
            {"name": "digits", "attributes": (), "missing": 0.9999},
            r"attributes: expected a known digit in the training part, got none \(missing is 0.9999\)",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        load(**arguments)
