"""The user's own images: layouts, depths, orientations, and what goes wrong."""

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from pyro_priors.checks import UserError
from pyro_priors.data import user_folder
from pyro_priors.data.attributes import Attribute
from pyro_priors.data.loading import load


def write_folder(root, count=20, size=(40, 30), mode="RGB"):
    (root / "images").mkdir(parents=True)
    for index in range(count):
        Image.new(mode, size, index if mode == "L" else (index, 0, 0)).save(root / "images" / f"{index:02d}.png")
    return root


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_folder_of_images(tmp_path, mode, channels):
    data = load("folder", write_folder(tmp_path, mode=mode), image_size=16)
    assert (data.image_shape, len(data.train), len(data.validation), len(data.test)) == ((channels, 16, 16), 16, 2, 2)
    values = torch.cat([part.pixels[:, 0, 0, 0] for part in data[2:5]])
    assert sorted(values.tolist()) == list(range(20))


def test_folder_with_zip_attributes_and_partition(tmp_path):
    source = write_folder(tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in (source / "images").iterdir():
            archive.write(path, path.name)
    (tmp_path / "attributes.csv").write_text("image,red\n03.png,1\n01.png,\n02.png,0\n")
    (tmp_path / "partition.csv").write_text("image,partition\n01.png,1\n02.png,2\n03.png,0\n04.png,0\n")
    data = load("folder", tmp_path, image_size=8)
    assert [part.pixels[:, 0, 0, 0].tolist() for part in data[2:5]] == [[3], [1], [2]]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"images/00.png": "no image"}, "expected an image, got an unreadable file 00.png"),
        ({"attributes.csv": "image,red\n00.png,1\n99.png,0\n"}, "attributes.csv line 3, column image: .*got '99.png'"),
        ({"attributes.csv": "picture,red\n00.png,1\n"}, "attributes.csv: expected a column 'image', got picture, red"),
        ({"attributes.csv": "image,red\n"}, "attributes.csv: expected a row for every image, got none"),
        ({"attributes.csv": ""}, "attributes.csv: expected a column 'image', got nothing"),
        ({"attributes.csv": "image,red\n00.png,1\n00.png,1\n"}, "attributes.csv line 3, .* once, got '00.png' twice"),
        ({"attributes.csv": b"image,\xff\n00.png,1\n"}, "attributes.csv line 1: expected a CSV file in UTF-8"),
        ({"partition.csv": "image,part\n00.png,1\n"}, "partition.csv: expected a column 'partition', got image, part"),
        ({"partition.csv": "image,partition\n00.png\n"}, "partition.csv line 2: expected 2 cells .*, got 1"),
        ({"partition.csv": "image,partition\n00.png,7\n"}, "partition.csv line 2, column partition: .*got '7'"),
        ({"partition.csv": "image,partition\n00.png,0\n"}, "partition.csv: .*got none for 01.png"),
        (
            {"partition.csv": "image,partition\n" + "".join(f"{index:02d}.png,0\n" for index in range(20))},
            "partition.csv: expected images in parts 0, 1 and 2, got none in 1, 2",
        ),
    ],
)
def test_bad_folders(tmp_path, files, message):
    write_folder(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path, image_size=8)


def red(part):
    return part.pixels[:, 0, 0, 0].float()


def write_attributes(root, cells, header="image,red,half,size"):
    """A row for every image, in an order of their own; `cells(index)` -> the rest of it."""
    rows = [f"{index:02d}.png,{cells(index)}\n" for index in torch.randperm(20).tolist()]
    (root / "attributes.csv").write_text(f"{header}\n{''.join(rows)}")
    return root


@pytest.mark.parametrize("partition", [True, False])
def test_labels_line_up_with_images(tmp_path, partition):
    torch.manual_seed(0)
    root = write_attributes(write_folder(tmp_path), lambda i: f"{i},{'' if i % 3 == 0 else i % 2},{i + 0.5}")
    if partition:
        rows = "".join(f"{index:02d}.png,{index // 7}\n" for index in range(20))
        (root / "partition.csv").write_text(f"image,partition\n{rows}")
    data = load("folder", root, image_size=8, attributes=("red", "HALF", "size"))
    assert [len(part) for part in data[2:5]] == ([7, 7, 6] if partition else [16, 2, 2])
    assert data.attributes[:2] == (Attribute("red", tuple(map(str, range(20)))), Attribute("HALF", ("0", "1")))
    size = data.attributes[2]
    assert size.loc == pytest.approx((red(data.train).double() + 0.5).mean().item())
    assert size.scale == pytest.approx(red(data.train).double().std(correction=0).item())
    for part, unlabelled in zip(data[2:5], load("folder", root, image_size=8)[2:5], strict=True):
        assert torch.equal(part.pixels, unlabelled.pixels)
        value = red(part)
        half = torch.where(value % 3 == 0, torch.nan, value % 2)
        expected = torch.stack([value, half, (value + 0.5 - size.loc) / size.scale], 1)
        torch.testing.assert_close(part.labels, expected, equal_nan=True, rtol=0, atol=1e-5)
        assert part.labels.dtype == part.hidden.dtype == torch.float32


def test_what_is_hidden_is_known_and_does_not_set_the_scale(tmp_path):
    torch.manual_seed(0)
    root = write_attributes(write_folder(tmp_path), lambda i: f"{i},{'' if i < 12 else i % 2},{i + 0.5}")
    truth = load("folder", root, image_size=8, attributes=())
    data = load("folder", root, image_size=8, attributes=(), missing=0.5, seed=1)
    for part, whole in zip(data[2:4], truth[2:4], strict=True):
        known = ~whole.labels.isnan()
        hidden = ~part.hidden.isnan()
        assert hidden.sum() == round(0.5 * known.sum().item())
        assert (hidden <= known).all()
        assert torch.equal(~part.labels.isnan(), known & ~hidden)
        assert torch.equal(part.hidden[hidden[:, 0], 0], red(part)[hidden[:, 0]])
    seen = data.train.labels[:, 2]
    seen = seen[~seen.isnan()]
    assert abs(seen.mean()) < 1e-6
    assert abs(seen.std(correction=0) - 1) < 1e-6
    size = data.attributes[2]
    assert size.loc != truth.attributes[2].loc
    for part in data[2:5]:  # the same scale everywhere, for what is seen and for what is hidden
        both = part.labels.nan_to_num() + part.hidden.nan_to_num()
        torch.testing.assert_close(both[:, 2] * size.scale + size.loc, red(part) + 0.5)


@pytest.mark.parametrize(
    ("files", "attributes", "message"),
    [
        ({}, (), r"attributes: expected a CSV file of them at .*attributes.csv, got none"),
        (
            {"attributes.csv": "image,red\n00.png,1\n99.png,0\n"},
            (),
            "attributes.csv line 3, column image: .*got '99.png'",
        ),
        ({"attributes.csv": "image,red\n00.png,\n"}, (), "attributes.csv: column red: expected a cell that says"),
        (
            {"attributes.csv": "image,red\n00.png,1\n"},
            ("blue",),
            "attributes.csv: column: expected one of red, got 'blu",
        ),
        (
            {
                "attributes.csv": "image,red\n00.png,\n01.png,1\n02.png,0\n",
                "partition.csv": "image,partition\n00.png,0\n01.png,1\n02.png,2\n",
            },
            (),
            "attributes: expected a known red in the training part, got none$",
        ),
    ],
)
def test_bad_attributes(tmp_path, files, attributes, message):
    write_folder(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path, image_size=8, attributes=attributes)


def test_images_by_name(tmp_path):
    root = write_folder(tmp_path)
    Image.new("L", (5, 9), 77).save(root / "images" / "grey.png")
    pixels = user_folder.images_named(root, ["07.png", "grey.png", "03.png", "07.png"], 16, 3)
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (4, 3, 16, 16))
    assert pixels[:, :, 8, 8].tolist() == [[7, 0, 0], [77, 77, 77], [3, 0, 0], [7, 0, 0]]
    assert user_folder.images_named(root, ["grey.png"], 16, 1).unique().tolist() == [77]
    assert user_folder.images_named(root, ["07.png"], 16, 1).shape == (1, 1, 16, 16)
    assert user_folder.images_named(root / "images", ["07.png"], 16, 3)[0, 0, 0, 0] == 7
    for names, channels, message in [
        (["07.png", "99.png"], 3, rf"images: expected the name of an image in {root}, got '99.png'"),
        (["07.png"], 2, "channels: expected 1 or 3, got 2"),
    ]:
        with pytest.raises(UserError, match=message):
            user_folder.images_named(root, names, 16, channels)
    with pytest.raises(UserError, match=r"images: expected images in .*pass --images the folder"):
        user_folder.images_named(root / "nowhere", ["07.png"], 16, 3)


def test_few_images_need_a_partition(tmp_path):
    write_folder(tmp_path, count=4)
    (tmp_path / "attributes.csv").write_text("image,red\n" + "".join(f"{i:02d}.png,{i % 2}\n" for i in range(4)))
    for attributes in (None, ()):
        with pytest.raises(UserError, match=r"4 in all: 3 for training, 0 for validation, 1 for test \(add images"):
            load("folder", tmp_path, image_size=8, attributes=attributes)
    (tmp_path / "partition.csv").write_text("image,partition\n00.png,0\n01.png,0\n02.png,1\n03.png,2\n")
    assert [len(part) for part in load("folder", tmp_path, image_size=8, attributes=())[2:5]] == [2, 1, 1]
    (tmp_path / "attributes.csv").unlink()
    (tmp_path / "partition.csv").unlink()
    for count, sizes in ((5, None), (6, [4, 1, 1])):
        Image.new("RGB", (8, 8), (count, 0, 0)).save(tmp_path / "images" / f"{count - 1:02d}.png")
        if sizes:
            assert [len(part) for part in load("folder", tmp_path, image_size=8)[2:5]] == sizes
        else:
            with pytest.raises(UserError, match="got 5 in all: 4 for training, 0 for validation, 1 for test"):
                load("folder", tmp_path, image_size=8)


def test_folder_without_images(tmp_path):
    with pytest.raises(UserError, match=r"data: expected images in .*--data-root"):
        load("folder", tmp_path / "nowhere")


@pytest.mark.parametrize(("suffix", "dtype"), [("png", "<u2"), ("tif", "<u2"), ("tif", ">u2")])
def test_sixteen_bits_become_eight(tmp_path, suffix, dtype):
    values = np.array([[0, 128, 129, 257], [1000, 30000, 65406, 65535]])
    Image.fromarray(np.tile(values, (4, 2)).astype(dtype)).save(tmp_path / f"deep.{suffix}")
    image = user_folder.images_named(tmp_path, [f"deep.{suffix}"], 8, 1)[0, 0]
    assert image[:2, :4].tolist() == [[0, 0, 1, 1], [4, 117, 254, 255]]  # the nearest of values / 257


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_images_are_turned_as_their_exif_says(tmp_path, depth):
    upper, lower = np.full((8, 16), 40, depth), np.full((8, 16), 200, depth)
    upright = np.concatenate([upper, lower]) * (257 if depth is np.uint16 else 1)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "turned.png", exif=exif)
    image = user_folder.images_named(tmp_path, ["turned.png"], 16, 1)[0, 0]
    assert torch.equal(image[:, 0], torch.tensor([40] * 8 + [200] * 8, dtype=torch.uint8))


@pytest.mark.parametrize(("dtype", "value"), [(np.float32, 0.5), (np.int32, 70_000), (np.int32, -1)])
def test_depths_that_have_no_white_are_refused(tmp_path, dtype, value):
    Image.fromarray(np.full((8, 8), value, dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(UserError, match=r"expected an image of 8 or 16 bits a pixel, got deep\.tif of mode"):
        load("folder", tmp_path, image_size=8)


def test_damaged_archives(tmp_path):
    source, path = write_folder(tmp_path / "source"), tmp_path / "images.zip"
    path.write_bytes(b"no zip archive")
    with pytest.raises(UserError, match=r"data: expected a zip archive, got a damaged file .*images.zip"):
        load("folder", tmp_path, image_size=8)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(source / "images" / "00.png", "00.png")
    content = bytearray(path.read_bytes())
    content[45] ^= 255  # inside the image: its checksum is wrong
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"expected an image, got an unreadable file 00\.png"):
        load("folder", tmp_path, image_size=8)


def test_labels_in_the_units_of_a_run(tmp_path):
    torch.manual_seed(0)
    root = write_attributes(write_folder(tmp_path), lambda i: f"{i},{'' if i % 3 == 0 else i % 2},{i + 0.5}")
    before = load("folder", root, image_size=8, attributes=())
    rows = (root / "attributes.csv").read_text().splitlines()
    rows = [row for row in rows if not row.startswith("07.png")]  # one category fewer, another mean
    (root / "attributes.csv").write_text("\n".join([*rows, ""]))
    after = load("folder", root, image_size=8, attributes=())
    assert after.attributes != before.attributes
    same = load("folder", root, image_size=8, attributes=(), meanings=before.attributes)
    assert same.attributes == before.attributes
    for number, names in enumerate(same.contents):
        rows = [list(before.contents[number]).index(name) for name in names]
        torch.testing.assert_close(same[2 + number].labels, before[2 + number].labels[rows], equal_nan=True)
    other = (Attribute("red", ("0", "1")), *before.attributes[1:])
    for meanings, expected in [
        (other, "red"),
        (before.attributes[:2], "attributes red, half"),
        ((*before.attributes[:2], before.attributes[1]._replace(name="size")), "size"),
    ]:
        with pytest.raises(UserError, match=rf"data: expected {expected} as at training, .*got "):
            load("folder", root, image_size=8, attributes=(), meanings=meanings)
