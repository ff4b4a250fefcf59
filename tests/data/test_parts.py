"""The part of an image follows from its path: other images do not move it, and equal ones share it."""

import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from pyro_priors.checks import UserError
from pyro_priors.data.digest import notes
from pyro_priors.data.images import split
from pyro_priors.data.loading import load
from pyro_priors.data.parts import order_of, parts_of, share_of
from pyro_priors.data.streaming import Streaming


def write(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)).save(path)
    return path


def write_folder(root, count=60):
    for index in range(count):
        write(root / "images" / f"{index:03d}.png", index)
    return root


def parts(root, **how):
    """{name: part} of a folder."""
    return {
        name: part for part, names in enumerate(load("folder", root, image_size=4, **how).contents) for name in names
    }


def test_shares_and_order():
    names = [f"{index}.png" for index in range(20_000)]
    counts = parts_of(names, names).bincount() / len(names)
    assert (counts - torch.tensor([0.8, 0.1, 0.1])).abs().max() < 0.01  # 3.5 deviations of the first
    order = order_of(names)
    assert sorted(order) == list(range(len(names)))
    assert abs(np.corrcoef(order, range(len(names)))[0, 1]) < 0.03  # the first few are a sample of all
    assert share_of("caf\u00e9/1.png") == share_of(unicodedata.normalize("NFD", "caf\u00e9/1.png"))
    assert share_of("a\\1.png") == share_of("a/1.png")


def test_other_images_do_not_move_one(tmp_path):
    root = write_folder(tmp_path)
    before = parts(root)
    write(root / "images" / "new.png", 1000)
    (root / "images" / "007.png").unlink()
    write(root / "images" / "011.png", 2000)
    after = parts(root)
    assert before.keys() - after.keys() == {"007.png"}
    assert after.keys() - before.keys() == {"new.png"}
    assert all(after[name] == part for name, part in before.items() if name in after)
    assert parts(root, stream=Streaming()) == after


@pytest.mark.parametrize("stream", [None, Streaming()])
def test_equal_images_share_a_part(tmp_path, stream):
    root = write_folder(tmp_path)
    before = parts(root)
    for name, part in list(before.items())[::3]:
        with Image.open(root / "images" / name) as image:
            copy = image.convert("RGB" if part else "L")  # equal pixels in other bytes, grey or in colour
            copy.save(root / "images" / f"copy-{part}-{name}".replace(".png", ".bmp"))
    after = parts(root, stream=stream)
    pairs = [(name, copy) for name in before for copy in after if copy.startswith("copy") and name[:3] in copy[7:]]
    assert len(pairs) == 20
    assert all(after[name] == after[copy] for name, copy in pairs)
    assert all(after[name] == 0 for name, part in before.items() if part == 0)  # what was trained on stays
    assert all(after[name] <= part for name, part in before.items())
    assert notes(load("folder", root, image_size=4)) == []


def test_equal_images_alone_are_too_few(tmp_path):
    for index in range(20):
        write(tmp_path / f"{index}.png", 0)
    with pytest.raises(UserError, match=r"got 20 in all, of which 1 differ \(equal ones share a part\): \d+ for tr"):
        load("folder", tmp_path, image_size=4)


def test_equal_images_of_a_partition_are_counted(tmp_path):
    root = write_folder(tmp_path, 12)
    write(root / "images" / "new.png", 3)
    rows = "".join(f"{index:03d}.png,{index // 4}\n" for index in range(12))
    (root / "partition.csv").write_text(f"image,partition\n{rows}new.png,2\n")
    images = ["new.png", *(f"{index:03d}.png" for index in range(12))]
    (root / "attributes.csv").write_text("image,a\n" + "".join(f"{name},{i % 2}\n" for i, name in enumerate(images)))
    for attributes in (None, ()):  # read without them, and with all
        (line,) = notes(load("folder", root, image_size=4, attributes=attributes))
        assert line == (
            "data: 1 of 5 test images equal images of the training or validation part (such as new.png and 003.png)"
        )


def test_the_cut_of_runs_before(tmp_path):
    root = write_folder(tmp_path, 20)
    data = load("folder", root, image_size=4, shuffled=True)
    cut = split(torch.arange(20), validation=0.1, test=0.1)
    for names, rows in zip(data.contents, cut, strict=True):
        assert list(names) == [f"{row:03d}.png" for row in rows.tolist()]
    write(root / "images" / ".hidden" / "x.png", 50)  # counted then, and is left out now
    data = load("folder", root, image_size=4, shuffled=True)
    every = sorted([".hidden/x.png", *(f"{index:03d}.png" for index in range(20))])
    for names, rows in zip(data.contents, split(torch.arange(21), validation=0.1, test=0.1), strict=True):
        assert list(names) == [every[row] for row in rows.tolist() if every[row][0] != "."]


@pytest.mark.parametrize("shuffled", [False, True])
def test_labels_stay_with_their_images(tmp_path, shuffled):
    root = write_folder(tmp_path, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0)).tolist()
    rows = [f"{index:03d}.png,{index}.5" for index in order]
    (root / "attributes.csv").write_text("\n".join(["image,number", *rows]))
    data = load("folder", root, image_size=4, attributes=(), shuffled=shuffled)
    (meaning,) = data.attributes
    for names, part in zip(data.contents, data[2:5], strict=True):
        numbers = part.labels[:, 0] * meaning.scale + meaning.loc
        torch.testing.assert_close(numbers, torch.tensor([float(name[:3]) + 0.5 for name in names]))


def test_channels_of_a_run_hold(tmp_path):
    root = write_folder(tmp_path)
    assert load("folder", root, image_size=4).image_shape == (1, 4, 4)
    Image.new("RGB", (6, 6), (200, 0, 0)).save(root / "images" / "zz.png")  # the last of all
    assert load("folder", root, image_size=4).image_shape == (3, 4, 4)
    assert load("folder", root, image_size=4, stream=Streaming()).image_shape == (3, 4, 4)
    assert load("folder", root, image_size=4, channels=1).image_shape == (1, 4, 4)
    with pytest.raises(UserError, match="channels: expected 1, 3 or None, got 2"):
        load("folder", root, image_size=4, channels=2)
