"""The user's own pictures: layouts, depths, orientations, and what goes wrong."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.config import UserError
from experiments.data import load


def write_folder(root, count=20, size=(40, 30), mode="RGB"):
    (root / "images").mkdir(parents=True)
    for index in range(count):
        Image.new(mode, size, index if mode == "L" else (index, 0, 0)).save(root / "images" / f"{index:02d}.png")
    return root


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_folder_of_pictures(tmp_path, mode, channels):
    data = load("folder", write_folder(tmp_path, mode=mode), image_size=16)
    assert (data.image_shape, len(data.train), len(data.validation), len(data.test)) == ((channels, 16, 16), 16, 2, 2)
    values = torch.cat([part.pixels[:, 0, 0, 0] for part in data[2:]])
    assert sorted(values.tolist()) == list(range(20))


def test_folder_with_zip_attributes_and_partition(tmp_path):
    source = write_folder(tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in (source / "images").iterdir():
            archive.write(path, path.name)
    (tmp_path / "attributes.csv").write_text("image,red\n03.png,1\n01.png,\n02.png,0\n")
    (tmp_path / "partition.csv").write_text("image,partition\n01.png,1\n02.png,2\n03.png,0\n04.png,0\n")
    data = load("folder", tmp_path, image_size=8)
    assert [part.pixels[:, 0, 0, 0].tolist() for part in data[2:]] == [[3], [1], [2]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"images/00.png": "no picture"}, "expected a picture, got an unreadable file 00.png"),
        ({"attributes.csv": "image,red\n00.png,1\n99.png,0\n"}, "attributes.csv line 3, column image: .*got '99.png'"),
        ({"attributes.csv": "picture,red\n00.png,1\n"}, "attributes.csv: expected a column 'image', got picture, red"),
        ({"attributes.csv": "image,red\n"}, "attributes.csv: expected a row for every picture, got none"),
        ({"attributes.csv": ""}, "attributes.csv: expected a column 'image', got nothing"),
        ({"partition.csv": "image,partition\n00.png,7\n"}, "partition.csv line 2, column partition: .*got '7'"),
        ({"partition.csv": "image,partition\n00.png,0\n"}, "partition.csv: .*got none for 01.png"),
        (
            {"partition.csv": "image,partition\n" + "".join(f"{index:02d}.png,0\n" for index in range(20))},
            "partition.csv: expected pictures in parts 0, 1 and 2, got none in 1, 2",
        ),
    ],
)
def test_bad_folders(tmp_path, files, message):
    write_folder(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path, image_size=8)


def test_folder_without_pictures(tmp_path):
    with pytest.raises(UserError, match=r"data: folder expected pictures in .*--data-root"):
        load("folder", tmp_path / "nowhere")


@pytest.mark.parametrize(("suffix", "dtype"), [("png", "<u2"), ("tif", "<u2"), ("tif", ">u2")])
def test_sixteen_bits_become_eight(tmp_path, suffix, dtype):
    values = np.array([[0, 128, 129, 257], [1000, 30000, 65406, 65535]])
    for index in range(20):
        Image.fromarray(np.tile(values, (4, 2)).astype(dtype)).save(tmp_path / f"{index}.{suffix}")
    picture = load("folder", tmp_path, image_size=8).test.pixels[0, 0]
    assert picture[:2, :4].tolist() == [[0, 0, 1, 1], [4, 117, 254, 255]]  # the nearest of values / 257


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_pictures_are_turned_as_their_exif_says(tmp_path, depth):
    upper, lower = np.full((8, 16), 40, depth), np.full((8, 16), 200, depth)
    upright = np.concatenate([upper, lower]) * (257 if depth is np.uint16 else 1)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    for index in range(20):
        Image.fromarray(np.rot90(upright).copy()).save(tmp_path / f"{index}.png", exif=exif)
    picture = load("folder", tmp_path, image_size=16).test.pixels[0, 0]
    assert torch.equal(picture[:, 0], torch.tensor([40] * 8 + [200] * 8, dtype=torch.uint8))


@pytest.mark.parametrize(("dtype", "value"), [(np.float32, 0.5), (np.int32, 70_000), (np.int32, -1)])
def test_depths_that_have_no_white_are_refused(tmp_path, dtype, value):
    Image.fromarray(np.full((8, 8), value, dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(UserError, match=r"expected a picture of 8 or 16 bits a pixel, got deep\.tif of mode"):
        load("folder", tmp_path, image_size=8)


def test_damaged_archives(tmp_path):
    source, path = write_folder(tmp_path / "source"), tmp_path / "images.zip"
    path.write_bytes(b"no zip archive")
    with pytest.raises(UserError, match=r"data: expected a zip archive, got a damaged file .*images.zip"):
        load("folder", tmp_path, image_size=8)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(source / "images" / "00.png", "00.png")
    content = bytearray(path.read_bytes())
    content[45] ^= 255  # inside the picture: its checksum is wrong
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"expected a picture, got an unreadable file 00\.png"):
        load("folder", tmp_path, image_size=8)
