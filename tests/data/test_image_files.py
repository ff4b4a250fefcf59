"""Images of every kind that a user's folder may hold: what they become, or that they are refused by their name."""

import io
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.__main__ import main
from pyro_priors.checks import UserError
from pyro_priors.data import image_files, user_folder
from pyro_priors.data.image_files import ImageFiles
from pyro_priors.data.loading import load


def encoded(kind, **how):
    """A file of 64x64 noise, which no format makes much smaller."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(file, kind, **how)
    return file.getvalue()


def black_png(side):
    """A 1-bit PNG of side x side, packed row by row: 50 kB that would fill 400 MB."""
    packer, row = zlib.compressobj(), bytes(1 + (side + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    parts = {b"IHDR": struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0), b"IDAT": pixels, b"IEND": b""}
    chunks = [
        struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
        for tag, data in parts.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def corrupt_jpeg():
    content = bytearray(encoded("JPEG"))
    start = content.index(b"\xff\xc4")  # the tables that the pixels are packed by
    content[start + 5 : start + 40] = b"\xff" * 35
    return bytes(content)


BAD = {
    "empty.png": (lambda: b"", "expected an image, got an unreadable file empty.png"),
    "text.jpg": (lambda: b"no image", "expected an image, got an unreadable file text.jpg"),
    "corrupt.jpg": (corrupt_jpeg, "expected an image, got an unreadable file corrupt.jpg"),
    "short.jpg": (lambda: encoded("JPEG")[:-500], "expected an image, got an unreadable file short.jpg"),
    "short.png": (lambda: encoded("PNG")[:-500], "expected an image, got an unreadable file short.png"),
    "bomb.png": (lambda: black_png(20_000), "expected an image of at most 89478485 pixels, got bomb.png of more"),
    "large.png": (lambda: black_png(10_000), "expected an image of at most 89478485 pixels, got large.png of more"),
}


def write_good(root, count=20):
    (root / "images").mkdir(parents=True)
    for index in range(count):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(root / "images" / f"{index:02d}.png")
    return root


def files_below(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_refused_before_anything_is_written(tmp_path, capsys, name):
    make, message = BAD[name]
    root = write_good(tmp_path / "data")
    (root / "images" / name).write_bytes(make())
    before = files_below(tmp_path)
    where = ["--data-root", str(root), "--runs-dir", str(tmp_path / "runs"), "--image-size", "8"]
    assert main(["train", "vae", "--data", "folder", *where, "--epochs", "1", "--hidden", "4", "--no-progress"]) == 2
    assert capsys.readouterr().err.startswith(f"error: data: {message}")
    assert files_below(tmp_path) == before
    assert not (tmp_path / "runs").exists()
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        archive.write(root / "images" / name, f"deep/{name}")
    with pytest.raises(UserError, match=rf"data: expected .*got .*deep/{name}"):
        load("folder", root, image_size=8)


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_huge_images_are_refused_by_their_header(tmp_path, monkeypatch, side):
    (tmp_path / "bomb.png").write_bytes(black_png(side))
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    decoded, plain = [], Image.core.new
    monkeypatch.setattr(Image.core, "new", lambda *size: decoded.append(size) or plain(*size))  # memory for pixels
    with pytest.raises(UserError, match=r"at most 89478485 pixels, got bomb\.png of more"):
        ImageFiles(tmp_path).decode("bomb.png")
    assert decoded == []


@pytest.mark.parametrize("packed", [False, True])
def test_huge_files_are_refused_before_they_are_read(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(image_files, "MOST_BYTES", 1000)
    content = encoded("PNG")
    if packed:
        with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
            archive.writestr("large.png", content)
    else:
        (tmp_path / "large.png").write_bytes(content)
    with pytest.raises(UserError, match=rf"at most 1000 bytes, got large\.png of {len(content)}"):
        load("folder", tmp_path, image_size=8)


def palette(transparent=None):
    """Left half red, right half blue (or transparent)."""
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (4, 0, 8, 8))
    if transparent is not None:
        image.info["transparency"] = transparent
    return image


def halves(mode, left, right):
    image = Image.new(mode, (8, 8), left)
    image.paste(right, (4, 0, 8, 8))
    return image


RED, BLUE, WHITE = [255, 0, 0], [0, 0, 255], [255, 255, 255]
CONVERTED = {
    "cmyk.tif": (halves("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), RED, [0, 0, 0]),
    "cmyk.jpg": (Image.new("CMYK", (8, 8), (0, 0, 0, 0)), WHITE, WHITE),
    "alpha.png": (halves("RGBA", (255, 0, 0, 255), (0, 0, 255, 0)), RED, WHITE),
    "half.png": (halves("RGBA", (0, 0, 0, 127), (0, 0, 0, 255)), [128] * 3, [0, 0, 0]),
    "grey_alpha.png": (halves("LA", (10, 255), (10, 0)), [10] * 3, WHITE),
    "palette.png": (palette(), RED, BLUE),
    "palette_alpha.png": (palette(transparent=1), RED, WHITE),
    "still.gif": (palette(), RED, BLUE),
    "one_bit.png": (halves("1", 0, 1), [0, 0, 0], WHITE),
    "one_pixel.png": (Image.new("RGB", (1, 1), (3, 5, 7)), [3, 5, 7], [3, 5, 7]),
    "line.png": (Image.new("RGB", (1, 500), (3, 5, 7)), [3, 5, 7], [3, 5, 7]),
    "sixteen.png": (Image.fromarray(np.full((8, 8), 30_000, np.uint16)), [117] * 3, [117] * 3),
    "colours.bmp": (halves("RGB", (255, 0, 0), (0, 0, 255)), RED, BLUE),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_what_becomes_of_other_kinds_of_images(tmp_path, name):
    image, left, right = CONVERTED[name]
    image.save(tmp_path / name)
    pixels = user_folder.images_named(tmp_path, [name], 8, 3)[0]
    assert pixels[:, 4, 0].tolist() == left
    assert pixels[:, 4, -1].tolist() == right


def test_kinds_that_are_grey(tmp_path):
    for name, mode in {"one_bit.png": "L", "grey_alpha.png": "L", "sixteen.png": "L", "palette.png": "RGB"}.items():
        CONVERTED[name][0].save(tmp_path / name)
        assert ImageFiles(tmp_path).decode(name).mode == mode
    greys = ["one_bit.png", "grey_alpha.png", "sixteen.png"]
    assert ImageFiles(tmp_path).are_grey(greys)
    assert not ImageFiles(tmp_path).are_grey([*greys, "palette.png"])


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in [(255, 0, 0), (0, 0, 255), (0, 255, 0)]]
    how = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"moves.{suffix}", save_all=True, append_images=frames[1:], **how)
    with Image.open(tmp_path / f"moves.{suffix}") as moving:
        assert moving.n_frames == 3
    assert user_folder.images_named(tmp_path, [f"moves.{suffix}"], 8, 3)[0, :, 4, 4].tolist() == RED


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    halves("L", 40, 200).save(tmp_path / "photo.jpg", exif=exif, quality=100)
    image = user_folder.images_named(tmp_path, ["photo.jpg"], 8, 1)[0, 0].int()
    assert (image[:4] - 40).abs().max() < 3
    assert (image[4:] - 200).abs().max() < 3


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_links_that_lead_out_of_the_folder_are_refused(tmp_path, linked):
    root, outside = write_good(tmp_path / "data"), write_good(tmp_path / "outside") / "images"
    name = "link.png" if linked == "file" else "more"
    (root / "images" / name).symlink_to(outside / "00.png" if linked == "file" else outside)
    with pytest.raises(UserError, match=rf"data: expected images inside .*, got {name}, a link to .*outside/images"):
        load("folder", root, image_size=8)


def test_links_that_stay_inside_are_images(tmp_path):
    root = write_good(tmp_path / "data")
    (root / "images" / "link.png").symlink_to("07.png")
    (root / "images" / "readme.txt").symlink_to(tmp_path / "elsewhere.txt")  # no image: nobody reads it
    assert len(ImageFiles(root).names) == 21
    assert user_folder.images_named(root, ["link.png"], 8, 3)[0, 0, 0, 0] == 7
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "images").symlink_to(root / "images")  # where all images lie is the user's to say
    assert user_folder.images_named(tmp_path / "other", ["07.png"], 8, 3)[0, 0, 0, 0] == 7


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["../outside.png", "{outside}", "../images/00.png", "./00.png"])
def test_paths_in_the_csv_file_stay_inside_the_folder(tmp_path, name, packed):
    root, outside = write_good(tmp_path / "data"), tmp_path / "data" / "outside.png"
    Image.new("RGB", (8, 8)).save(outside)
    if packed:
        with zipfile.ZipFile(root / "images.zip", "w") as archive:
            archive.write(root / "images" / "00.png", "00.png")
    name = name.format(outside=outside)
    (root / "attributes.csv").write_text(f"image,red\n00.png,1\n{name},0\n")
    with pytest.raises(
        UserError, match=r"attributes\.csv line 3, column image: expected the name of an image, got"
    ) as e:
        load("folder", root, image_size=8, attributes=())
    assert repr(name) in str(e.value)
    with pytest.raises(UserError, match=r"row 3: expected the name of an image in .*, got") as e:
        user_folder.images_named(root, [name], 8, 3, ["row 3"])
    assert repr(name) in str(e.value)


def test_images_may_be_read_in_another_process(tmp_path):
    source = write_good(tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.write(source / "images" / "07.png", "07.png")
    for root in (tmp_path, source):
        files = pickle.loads(pickle.dumps(ImageFiles(root)))
        assert torch.equal(files.prepared("07.png", 4, "RGB")[0], torch.full((4, 4), 7, dtype=torch.uint8))
