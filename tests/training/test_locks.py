"""One training in a folder: of this process or another, however that ends; children and ranks are no others."""

import os
import signal
import threading
import time

import pytest
from resumable import train

from pyro_priors.checks import UserError
from pyro_priors.training import locks

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def child(act):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = act()
        finally:
            os._exit(status)
    return pid


@pytest.fixture
def holder(tmp_path):
    """The id of another process that has the folder, and the id of a child of that."""
    ready, done = os.pipe()

    def holds():
        with locks.held(tmp_path):
            grandchild = child(lambda: time.sleep(30) or 0)
            os.write(done, str(grandchild).encode())
            time.sleep(30)

    holder = child(holds)
    grandchild = int(os.read(ready, 20))
    yield holder, grandchild
    os.kill(grandchild, signal.SIGKILL)


def kill(process):
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_a_second_training_in_a_folder_is_refused_before_it_changes_anything(tmp_path, holder):
    """Of another process: the sentence says which."""
    (tmp_path / "checkpoint.safetensors").write_bytes(b"of the other")
    expected = rf"^run: expected a folder that no other training writes to, got {tmp_path}, .*process {holder[0]} on "
    for resume in (False, True):
        with pytest.raises(UserError, match=expected):
            train("gan", tmp_path, epochs=1, resume=resume)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.safetensors", locks.LOCK}
    kill(holder[0])
    train("gan", tmp_path, epochs=1)
    assert not (tmp_path / locks.LOCK).exists()


def test_a_second_thread_is_refused_and_the_same_may_go_in_again(tmp_path):
    caught = []

    def other(folder):
        try:
            with locks.held(folder):
                caught.append("held")
        except locks.UnderWay as error:
            caught.append(str(error))

    link = tmp_path / "link"
    link.symlink_to(tmp_path / "run")
    with locks.held(tmp_path / "run"), locks.held(link):
        for folder in (link, tmp_path / "other"):
            thread = threading.Thread(target=other, args=[folder])
            thread.start()
            thread.join()
    assert caught[0].endswith("which is under way in another thread of this process")
    assert caught[1:] == ["held"]
    other(link)
    assert caught[2:] == ["held"]


def test_children_neither_have_the_lock_nor_take_it_along(tmp_path):
    def tries():
        try:
            with locks.held(tmp_path):
                return 2
        except locks.UnderWay:
            return 0

    with locks.held(tmp_path):
        for _ in range(2):  # nor does one that ends give it up
            assert os.waitpid(child(tries), 0)[1] == 0
        assert (tmp_path / locks.LOCK).exists()
    assert os.waitstatus_to_exitcode(os.waitpid(child(tries), 0)[1]) == 2


def test_the_lock_goes_with_a_process_that_is_killed_though_its_children_live(tmp_path, holder):
    with pytest.raises(locks.UnderWay), locks.held(tmp_path):
        pass
    kill(holder[0])
    with locks.held(tmp_path):
        os.kill(holder[1], 0)  # it lives


def test_where_there_are_no_locks_only_threads_are_refused(tmp_path, monkeypatch, holder):
    monkeypatch.setattr(locks, "fcntl", None)
    with locks.held(tmp_path):
        pass
    kill(holder[0])


def test_a_file_system_without_locks_refuses_nobody(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.fcntl, "lockf", refuse)
    with locks.held(tmp_path):
        assert (tmp_path / locks.LOCK).read_text().startswith(f"process {os.getpid()} on ")


@pytest.mark.parametrize("name", ["file", "file/run", "loop"])
def test_what_can_be_no_folder(tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=f"run: expected to write {tmp_path}/{name}/, got: "), locks.held(tmp_path / name):
        pass
