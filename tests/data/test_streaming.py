"""Images that stay on disk: what is read, in which order and how it trains is as from memory, bit for bit."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision_files import write_celeba

from experiments.__main__ import main
from models import configure
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.data import streaming
from pyro_priors.data.image_files import ImageFiles
from pyro_priors.data.images import loader
from pyro_priors.data.loading import load
from pyro_priors.data.streaming import OnDisk, Streaming, StreamLoader

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # on a machine of one core
]
COUNT, SIZE = 20, 8


def write_folder(root, packed=False):
    """Images of noise, each of its own size, with a label."""
    (root / "images").mkdir(parents=True)
    noise = np.random.default_rng(0)
    for index in range(COUNT):
        pixels = noise.integers(0, 256, (9 + index, 12, 3), np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{index:02d}.png")
    rows = "".join(f"{index:02d}.png,{index % 2}\n" for index in reversed(range(COUNT)))
    (root / "attributes.csv").write_text(f"image,odd\n{rows}")
    if packed:
        with zipfile.ZipFile(root / "images.zip", "w") as archive:
            for path in (root / "images").iterdir():
                archive.write(path, path.name)
                path.unlink()
    return root


def write(kind, root, monkeypatch):
    if kind == "celeba":
        for index, name in enumerate(write_celeba(root, monkeypatch)):
            pixels = np.random.default_rng(index).integers(0, 256, (218, 178, 3), np.uint8)
            Image.fromarray(pixels).save(root / "celeba" / "img_align_celeba" / name)
    else:
        write_folder(root, packed=kind == "zip")
    return "celeba" if kind == "celeba" else "folder"


def read(images, seed, **how):
    """Two epochs of batches, and the state of the global generator afterwards."""
    torch.manual_seed(seed)
    batches = loader(images, 3, shuffle=True, **how)
    return [batch for _ in range(2) for batch in batches], torch.get_rng_state()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["folder", "zip", "celeba"])
def test_batches_are_as_from_memory(tmp_path, monkeypatch, kind, workers):
    name = write(kind, tmp_path, monkeypatch)
    in_memory = load(name, tmp_path, image_size=SIZE, attributes=())
    torch.manual_seed(3)
    streamed = load(name, tmp_path, image_size=SIZE, attributes=(), stream=Streaming(workers))
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(3).get_state())  # looking at all draws nothing
    assert streamed.image_shape == in_memory.image_shape == (3, SIZE, SIZE)
    assert streamed.attributes == in_memory.attributes
    for part, same in zip(streamed[2:5], in_memory[2:5], strict=True):
        assert isinstance(part.pixels, OnDisk)
        assert part.pixels.shape == same.pixels.shape
        assert torch.equal(part.first(), same.first())
        assert torch.equal(part.labels, same.labels)
    for how in ({}, {"signed": True, "whole": True}):
        (batches, state), (expected, expected_state) = (read(data.train, 1, **how) for data in (streamed, in_memory))
        assert len(batches) == len(expected) > 1
        assert torch.equal(state, expected_state)
        for (x, y), (same_x, same_y) in zip(batches, expected, strict=True):
            assert torch.equal(x, same_x)
            assert torch.equal(y, same_y)
    x, y = streamed.train[1]
    assert torch.equal(x, in_memory.train[1][0])
    assert torch.equal(y, in_memory.train[1][1])


def test_memory_holds_names_only(tmp_path, monkeypatch):
    in_memory = load("folder", write_folder(tmp_path), image_size=64)
    streamed = load("folder", tmp_path, image_size=64, stream=Streaming())
    decoded, plain = [], ImageFiles.decode
    monkeypatch.setattr(ImageFiles, "decode", lambda self, name: decoded.append(name) or plain(self, name))
    next(iter(loader(streamed.train, 4)))
    assert len(decoded) == 4
    list(loader(streamed.train, 4))
    assert len(pickle.dumps(in_memory.train)) > in_memory.train.pixels.numel()
    assert len(pickle.dumps(streamed.train)) < 0.02 * in_memory.train.pixels.numel()
    assert not [value for value in vars(streamed.train.pixels).values() if isinstance(value, torch.Tensor)]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_becomes_unreadable_is_named(tmp_path, workers):
    train = load("folder", write_folder(tmp_path), image_size=SIZE, stream=Streaming(workers)).train
    name = str(train.pixels.names[9])
    batches = iter(loader(train, 4))
    next(batches)
    (tmp_path / "images" / name).write_bytes(b"gone")
    (tmp_path / "images" / str(train.pixels.names[-1])).unlink()
    with pytest.raises(UserError) as error:
        list(loader(train, 4))
    assert str(error.value) == f"data: expected an image, got an unreadable file {name}"
    with pytest.raises(UserError, match=rf"unreadable file {train.pixels.names[-1]}$"):
        list(loader(train, len(train) - 10, shuffle=False).dataset.pixels[[len(train) - 1]])


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_unreadable_images_are_named_before_anything_is_written(tmp_path, capsys, workers):
    root = write_folder(tmp_path / "data")
    whole = (root / "images" / "11.png").read_bytes()
    (root / "images" / "11.png").write_bytes(whole[:-100])
    flags = ["--data-root", str(root), "--runs-dir", str(tmp_path / "runs"), "--stream", "--workers", str(workers)]
    assert main(["train", "vae", "--data", "folder", "--binarize", "none", *flags]) == 2
    assert capsys.readouterr().err.endswith("error: data: expected an image, got an unreadable file 11.png\n")
    assert not (tmp_path / "runs").exists()


def test_of_a_face_the_middle_is_taken(tmp_path, monkeypatch):
    write("celeba", tmp_path, monkeypatch)
    face = load("celeba", tmp_path, image_size=148, stream=Streaming()).train.pixels[[1]][0]
    whole = np.asarray(Image.open(tmp_path / "celeba" / "img_align_celeba" / "000001.jpg"))
    assert np.array_equal(face.movedim(0, -1), whole[35:183, 15:163])  # of 218 x 178


@pytest.mark.parametrize("streamed", [False, True])
def test_unreadable_faces_are_named(tmp_path, monkeypatch, streamed):
    name = write_celeba(tmp_path, monkeypatch)[1]
    (tmp_path / "celeba" / "img_align_celeba" / name).write_bytes(b"")
    with pytest.raises(UserError, match=f"data: expected an image, got an unreadable file {name}"):
        load("celeba", tmp_path, image_size=SIZE, stream=Streaming() if streamed else None)
    assert list(tmp_path.rglob("*.npy")) == []


def outcome(runs):
    """Weights, metrics without seconds, and test results of the one run below a folder."""
    (summary,) = runs.rglob("summary.json")
    metrics = (summary.parent / "metrics.csv").read_text().splitlines()
    metrics = [line.split(",")[:-1] for line in metrics]
    return (summary.parent / "model.safetensors").read_bytes(), metrics, json.loads(summary.read_text())["test"]


def train_flags(root, runs, *more):
    flags = ["--data-root", str(root), "--image-size", str(SIZE), "--runs-dir", str(runs), "--no-progress"]
    flags += ["--binarize", "none", "--likelihood", "gaussian", "--hidden", "6", "--latent-dim", "2", "--rank", "2"]
    flags += ["--components", "2", "--batch-size", "4", "--particles", "2"]
    return ["train", "vae", "--data", "folder", *flags, *more]


@pytest.mark.slow
def test_trainings_end_with_the_same_numbers(tmp_path):
    root = write_folder(tmp_path / "data")
    assert main(train_flags(root, tmp_path / "memory", "--epochs", "2")) == 0
    assert main(train_flags(root, tmp_path / "streamed", "--epochs", "2", "--stream", "--workers", "1")) == 0
    assert outcome(tmp_path / "streamed") == outcome(tmp_path / "memory")


@pytest.mark.slow
def test_a_training_goes_on_once_a_damaged_image_is_mended(tmp_path, monkeypatch, capsys):
    root = write_folder(tmp_path / "data")
    assert main(train_flags(root, tmp_path / "memory", "--epochs", "3")) == 0
    victim, reads, plain = root / "images" / "07.png", [], ImageFiles.decode
    whole = victim.read_bytes()

    def decode(self, name):
        reads.append(name)
        if len(reads) == 40:  # in the second epoch: of 20
            victim.write_bytes(b"damaged")
        return plain(self, name)

    monkeypatch.setattr(ImageFiles, "decode", decode)
    assert main(train_flags(root, tmp_path / "streamed", "--epochs", "3", "--stream")) == 2
    assert "error: data: expected an image, got an unreadable file 07.png" in capsys.readouterr().err
    (folder,) = (tmp_path / "streamed" / "folder-trip").iterdir()
    assert len((folder / "metrics.csv").read_text().splitlines()) in (2, 3)  # a header, and an epoch or two
    assert not (folder / "summary.json").exists()
    victim.write_bytes(whole)
    assert main(["train", "--resume", str(folder)]) == 0
    assert outcome(tmp_path / "streamed") == outcome(tmp_path / "memory")


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("accelerator", "there", "pinned"),
    [("cuda", True, True), ("auto", True, True), ("auto", False, False), ("cpu", True, False)],
)
def test_memory_is_pinned_where_there_is_a_gpu(tmp_path, monkeypatch, stream, accelerator, there, pinned):
    write_folder(tmp_path)
    given, where = {}, {"data": "folder", "data_root": tmp_path, "binarize": "none", "image_size": SIZE}
    small = {"prior": "normal", "latent_dim": 2, "hidden": (8,)}
    config = configure("vae", accelerator=accelerator, stream=stream, **where, **small)
    images = config.load_data()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(training, "fit", lambda steps, model, data, **how: given.update(how, data=data))
    config.fit(config.start(images), images, None)
    for batches in (given["data"], given["validation"]):
        assert type(batches) is (StreamLoader if stream else DataLoader)
        assert batches.pin_memory == pinned


def test_the_bar_is_hidden_where_few_images_are_looked_at(monkeypatch):
    shown = []
    monkeypatch.setattr(streaming, "tqdm", lambda batches, **how: shown.append(how["disable"]) or batches)
    for count in (999, 1000):
        OnDisk(lambda name: torch.zeros(1, 1, 1), ["a"] * count, (1, 1, 1), Streaming()).check("folder")
    assert shown == [True, None]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"stream": True, "data": "mnist", "binarize": "none"},
            "stream: expected --data celeba or folder beside it, got --data mnist",
        ),
        ({"stream": True, "data": "folder"}, "stream: expected --binarize none beside it, got dynamic"),
        ({"workers": 2}, "workers: expected --data celeba or folder beside it, got --data mnist"),
        ({"workers": -1, "stream": True, "data": "folder", "binarize": "none"}, "workers: expected 0 or more, got -1"),
    ],
)
def test_bad_flags(flags, message):
    with pytest.raises(UserError, match=message):
        configure("vae", **flags)


@pytest.mark.parametrize(("name", "how"), [("mnist", {}), ("folder", {"binarize": "dynamic"})])
def test_what_cannot_be_streamed(tmp_path, name, how):
    with pytest.raises(UserError, match="stream: expected data celeba or folder and binarize 'none', got"):
        load(name, tmp_path, stream=Streaming(), **how)


def test_no_images_are_as_large_as_the_others():
    images = OnDisk(lambda name: torch.zeros(3, 4, 5, dtype=torch.uint8), ["a", "b"], (3, 4, 5), Streaming())
    none = torch.empty(0, dtype=torch.long)
    assert images[none].shape == images.part(none).shape == (0, 3, 4, 5)
    assert images[none].dtype == torch.uint8


def test_what_is_known_of_images_is_known_of_a_part():
    images = OnDisk(lambda name: torch.full((1, 2, 2), int(name)), ["0", "1", "2"], (1, 2, 2), Streaming())
    assert images.part([2, 0]).contents.tolist() == []
    images.check("x")
    assert images.part([2, 0]).contents.tolist() == [images.contents[2], images.contents[0]]
