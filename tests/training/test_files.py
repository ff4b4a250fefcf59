"""Files that are replaced: regular ones only, through links, with their permissions; what must not be is refused."""

import os
import socket
import stat

import pytest

from pyro_priors.checks import UserError
from pyro_priors.training import replace_file
from pyro_priors.training.files import check_folder, check_output


def write(path, text="new"):
    replace_file(path, lambda temporary: temporary.write_text(text))


def test_folders_on_the_way_are_made(tmp_path):
    write(tmp_path / "some" / "more" / "file")
    write(tmp_path / "some" / "more" / "file", "newer")
    assert (tmp_path / "some" / "more" / "file").read_text() == "newer"


@pytest.fixture
def places(tmp_path):
    """A path of everything that is no file to write."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to the pipe").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(tmp_path / "socket"))  # of at most 107 bytes
    return tmp_path


REFUSED = {
    "folder": "it is a folder",
    "pipe": "it is a pipe",
    "to the pipe": "it is a pipe",
    "socket": "it is a socket",
    "loop": "Too many levels of symbolic links",
    "/dev/null": "it is a device",
    "file/x": "Not a directory",
    "zero\0": "embedded null byte",
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_but_files_is_replaced(places, name):
    before = {path: path.lstat() for path in places.iterdir()}
    with pytest.raises(OSError, match=f"expected to write .*, got: {REFUSED[name]}"):
        write(places / name)
    with pytest.raises(UserError, match=r"^out: expected a file to write, got .*"):
        check_output("out", places / name)
    assert {path: (path.lstat().st_ino, path.lstat().st_mode) for path in places.iterdir()} == {
        path: (status.st_ino, status.st_mode) for path, status in before.items()
    }
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    for name in ("there", "not there"):
        (tmp_path / f"link to {name}").symlink_to(tmp_path / "far" / name)
    (tmp_path / "far" / "there").write_text("old")
    for name in ("there", "not there"):
        check_output("out", tmp_path / f"link to {name}")
        write(tmp_path / f"link to {name}")
        assert (tmp_path / f"link to {name}").is_symlink()
        assert (tmp_path / "far" / name).read_text() == "new"
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == ["not there", "there"]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o664])
def test_permissions_stay(tmp_path, mode):
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    write(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~_umask()


def _umask():
    now = os.umask(0)
    os.umask(now)
    return now


def test_a_long_name(tmp_path):
    write(tmp_path / ("ü" * 120))
    assert [path.name for path in tmp_path.iterdir()] == ["ü" * 120]


def test_what_is_read_is_not_replaced_under_any_name(tmp_path):
    source, other = tmp_path / "in.csv", tmp_path / "other.csv"
    source.touch()
    other.touch()
    (tmp_path / "link").symlink_to(source)
    os.link(source, tmp_path / "hard")
    for name in ("in.csv", "link", "hard", "x/../in.csv"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=r"^out: expected another file than those that are read"):
            check_output("out", tmp_path / name, [other, tmp_path / "nowhere", source])
    check_output("out", other, [source])
    check_output("out", tmp_path / "new", [source])


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    check_folder("folder", tmp_path / "no" / "such")
    for path in (tmp_path / "file", tmp_path / "file" / "below", "/dev/null"):
        with pytest.raises(UserError) as caught:
            check_folder("folder", path)
        assert str(caught.value) == f"folder: expected a folder to write to, got {path} (Not a directory)"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
