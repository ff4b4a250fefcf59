"""Which files are images: hidden and system names are no data, the others are counted, bad archives refused."""

import io
import os
import unicodedata
import warnings
import zipfile

import pytest
from PIL import Image

from pyro_priors.checks import UserError
from pyro_priors.data import listing, user_folder
from pyro_priors.data.image_files import ImageFiles
from pyro_priors.data.loading import load

HIDDEN = [
    ".ipynb_checkpoints/00-checkpoint.png",
    "._00.png",
    "deep/._01.png",
    "__MACOSX/deep/01.png",
    "@eaDir/00.png/SYNOPHOTO_THUMB_M.jpg",
    ".Trash-1000/files/x.png",
    "#recycle/y.png",
    "$RECYCLE.BIN/z.png",
    "Thumbs.db",
    "deep/.DS_Store",
    "desktop.ini",
]
READABLE = [".jfif", ".jpe", ".ppm", ".pgm", ".avif", ".jp2", ".tga", ".webp", ".apng", ".qoi", ".dib"]


def encoded(index, kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (index, 10, 20)).save(file, kind)
    return file.getvalue()


def write(root, names, packed):
    """Files of these names, in a folder or a zip archive."""
    if packed:
        with zipfile.ZipFile(root / "images.zip", "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a name twice
            for index, name in enumerate(names):
                archive.writestr(name, encoded(index))
    else:
        for index, name in enumerate(names):
            path = root / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(index))
    return root


@pytest.mark.parametrize("packed", [False, True])
def test_hidden_and_system_names_are_no_data(tmp_path, packed):
    root = tmp_path / ".dotted"  # where all images lie is the user's to say
    root.mkdir()
    files = ImageFiles(write(root, ["00.png", *HIDDEN, "deep/01.png", "a.b.png"], packed))
    assert files.names == ["00.png", "a.b.png", "deep/01.png"]
    assert files.note == ""
    with pytest.raises(UserError, match=r"expected the name of an image in .*, got '\._00\.png'$"):
        user_folder.images_named(root, ["._00.png"], 8, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_other_files_are_counted(tmp_path, packed):
    names = [
        *(f"{index:02d}.png" for index in range(20)),
        "a.heic",
        "b.HEIC",
        "deep/c.cr2",
        "notes.txt",
        "film.mpg",
        "x",
    ]
    data = load("folder", write(tmp_path, names, packed), image_size=4)
    assert sum(map(len, data.contents)) == 20
    assert len(data.notes) == 1
    with pytest.raises(UserError, match=r"got 'a\.heic' \(not read as images in .*: 6 \(2 \.heic, "):
        user_folder.images_named(tmp_path, ["a.heic"], 4, 3)
    where = tmp_path / ("images.zip" if packed else "images")
    assert data.notes[0].startswith(f"data: not read as images in {where}: 6 (2 .heic, 1 ")
    rest = data.notes[0].rstrip(")").split("(")[1].split(", ")[1:]
    assert set(rest) == {"1 .mpg", "1 .cr2", "1 .txt", "1 without an ending"}


def test_the_csv_files_are_no_others(tmp_path):
    (tmp_path / "00.png").write_bytes(encoded(0))
    (tmp_path / "attributes.csv").write_text("image,red\n00.png,1\n")
    (tmp_path / "partition.csv").touch()
    assert ImageFiles(tmp_path).note == ""
    (tmp_path / "00.png").rename(tmp_path / "00.heic")
    with pytest.raises(UserError, match=r"data: expected images in .*, got none but 1 \.heic \(pass --data-root"):
        ImageFiles(tmp_path)


@pytest.mark.parametrize("suffix", [s for s in READABLE if s in listing.suffixes()])
def test_what_pillow_reads_is_read(tmp_path, suffix):
    Image.new("RGB", (8, 8), (200, 10, 20)).convert("L" if suffix == ".pgm" else "RGB").save(tmp_path / f"x{suffix}")
    pixels = user_folder.images_named(tmp_path, [f"x{suffix}"], 8, 3)[0, :, 4, 4].int()
    expected = [68] * 3 if suffix == ".pgm" else [200, 10, 20]
    assert (pixels - pixels.new_tensor(expected)).abs().max() < 8


def test_programs_and_films_are_no_images_whatever_their_name(tmp_path):
    assert not {".eps", ".ps", ".pdf", ".psd", ".mpg", ".wmf", ".hdf", ".fits"} & listing.suffixes()
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "EPS")
    (tmp_path / "page.png").write_bytes(file.getvalue())
    with pytest.raises(UserError, match=r"expected an image, got an unreadable file page\.png"):
        ImageFiles(tmp_path).decode("page.png")


def flag(path, name):
    """Mark an entry of an archive as encrypted."""
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    while content[place + 46 : place + 46 + len(name)] != name.encode():
        place = content.index(b"PK\x01\x02", place + 4)
    content[place + 8] |= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.png", "b.png", "a.png"], r"expected every name once in images\.zip, got 'a\.png' twice"),
        (["é.png", unicodedata.normalize("NFD", "é.png")], r"expected every name once in images\.zip, got '.*' twice"),
        (["d/a.png", "d\\a.png"], r"expected every name once in images\.zip, got 'd\\\\a\.png' twice"),
        (["../a.png"], r"expected paths of images inside images\.zip, got '\.\./a\.png', which leads out of it"),
        (["d/../../a.png"], r"got 'd/\.\./\.\./a\.png', which leads out of it"),
        (["..\\a.png"], r"got '\.\.\\\\a\.png', which leads out of it"),
        (["/etc/a.png"], r"got '/etc/a\.png', which leads out of it"),
        (["C:\\a.png"], r"got 'C:\\\\a\.png', which leads out of it"),
        (["inner.zip"], r"expected images in .*, got none but 1 \.zip"),
        ([], r"expected images in .*, got none \(pass"),
    ],
)
def test_bad_archives(tmp_path, names, message):
    write(tmp_path, names, packed=True)
    with pytest.raises(UserError, match=f"data: .*{message}|data: {message}"):
        ImageFiles(tmp_path)


def test_encrypted_archives(tmp_path):
    path = write(tmp_path, ["a.png", "b.png"], packed=True) / "images.zip"
    flag(path, "b.png")
    with pytest.raises(UserError, match=r"images without a password in images\.zip, got 'b\.png', which is encrypted"):
        ImageFiles(tmp_path)


def test_folders_of_archives_are_no_images(tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("album.png/", b"")
        archive.writestr("album.png/00.png", encoded(0))
        archive.writestr("deep\\01.png", encoded(1))
    files = ImageFiles(tmp_path)
    assert files.names == ["album.png/00.png", "deep\\01.png"]
    assert files.named("deep/01.png") == "deep\\01.png"
    assert user_folder.images_named(tmp_path, ["deep/01.png"], 8, 3)[0, :, 0, 0].tolist() == [1, 10, 20]


def test_names_as_other_systems_spell_them(tmp_path):
    write(tmp_path, [unicodedata.normalize("NFD", "é.png"), "o.png"], packed=True)
    (tmp_path / "attributes.csv").write_text("image,red\no.png,1\né.png,0\n", encoding="utf-8")
    (tmp_path / "partition.csv").write_text("image,partition\no.png,0\né.png,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"partition\.csv: expected images in parts 0, 1 and 2, got none in 2"):
        load("folder", tmp_path, image_size=4)
    (tmp_path / "attributes.csv").write_text("image,red\né.png,1\ne\u0301.png,0\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"attributes\.csv line 3, .*every image once, got .* which is that of line 2"):
        load("folder", tmp_path, image_size=4)


@pytest.mark.parametrize("target", ["missing.png", "loop.png"])
def test_links_that_lead_nowhere(tmp_path, target):
    write(tmp_path, ["00.png"], packed=False)
    (tmp_path / "images" / "loop.png").symlink_to(target)
    with pytest.raises(UserError, match=r"data: expected images inside .*, got loop\.png, a link that leads nowhere"):
        ImageFiles(tmp_path)


def test_folders_that_loop(tmp_path):
    write(tmp_path, ["00.png"], packed=False)
    (tmp_path / "images" / "again").symlink_to(tmp_path / "images")
    assert ImageFiles(tmp_path).names == ["00.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_folders_that_cannot_be_read(tmp_path):
    write(tmp_path, ["00.png", "deep/01.png"], packed=False)
    (tmp_path / "images" / "deep").chmod(0)
    with pytest.raises(UserError, match=r"data: expected a folder that can be read, got .*deep"):
        ImageFiles(tmp_path)
    (tmp_path / "images" / "deep").chmod(0o700)
