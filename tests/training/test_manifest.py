"""The manifest of a folder: which files belong together, and what happens where one is another."""

import json

import pytest
from torch import nn

from pyro_priors.checks import UserError
from pyro_priors.training import load_weights, manifest, save_weights
from pyro_priors.training.checkpoints import copies, write_tensors


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    manifest.bind(tmp_path, ["a", "b", "nowhere"])
    return tmp_path


def test_what_is_listed_is_checked(folder):
    manifest.check(folder, "a", "b", "c", "nowhere")
    (folder / "c").write_text("another")
    (folder / "b").write_text("another")
    manifest.check(folder, "a", "c")
    with pytest.raises(UserError, match=f"^folder: expected b as manifest.json has it, got another in {folder} "):
        manifest.check(folder, "a", "b")
    (folder / "a").unlink()
    with pytest.raises(UserError, match=f"^folder: expected a, which manifest.json has, got none in {folder};"):
        manifest.check(folder, "a")


def test_what_is_replaced_is_listed_no_longer_and_may_be_added_again(folder):
    manifest.forget(folder / "b")
    (folder / "b").write_text("another")
    manifest.check(folder, "a", "b")
    manifest.add(folder / "b")
    assert [*manifest.listed(folder)] == ["a", "b"]
    manifest.check(folder, "b")


def test_binding_again_keeps_what_was_listed(folder):
    """Damage between the two must not be taken for what was written."""
    (folder / "a").write_text("damaged")
    manifest.bind(folder, ["a", "c"])
    assert [*manifest.listed(folder)] == ["a", "c"]
    with pytest.raises(UserError, match="expected a as"):
        manifest.check(folder, "a")


def test_a_folder_without_one_is_read_as_it_is(tmp_path):
    manifest.check(tmp_path, "a")
    manifest.forget(tmp_path / "a")
    (tmp_path / "a").write_text("a")
    manifest.add(tmp_path / "a")
    assert manifest.listed(tmp_path) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000, '{"format": 1, "files": 3, "sha256": ""}'])
def test_a_damaged_manifest(folder, text):
    (folder / manifest.MANIFEST).write_text(text)
    with pytest.raises(UserError, match=r"^folder: expected the hashes of its files in .*, got a damaged"):
        manifest.check(folder, "a")
    manifest.forget(folder / "a")
    assert (folder / manifest.MANIFEST).read_text() == text


def test_a_manifest_that_lists_other_hashes_is_damaged(folder):
    written = json.loads((folder / manifest.MANIFEST).read_text())
    written["files"].pop("a")
    (folder / manifest.MANIFEST).write_text(json.dumps(written))
    with pytest.raises(UserError, match="its checksum differs"):
        manifest.check(folder, "b")


def test_a_manifest_of_another_version(folder, monkeypatch):
    monkeypatch.setattr(manifest, "FORMAT", 2)
    with pytest.raises(UserError, match=r"expected a manifest of format 2, got .* of format 1"):
        manifest.check(folder, "a")


def test_weights_have_a_checksum_of_their_own(tmp_path):
    model, path = nn.Linear(3, 2), tmp_path / "w.safetensors"
    save_weights(model, path)
    content = path.read_bytes()
    for place in (len(content) - 1, len(content) - 20):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ValueError, match=rf"^path: expected weights, got the damaged file {path} \(its checksum"):
            load_weights(nn.Linear(3, 2), path)
    write_tensors(copies(model.state_dict()), None, path)  # as it was before
    load_weights(nn.Linear(3, 2), path)


def test_weights_written_anew_are_not_those_that_were_listed(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(nn.Linear(3, 2), path)
    manifest.bind(tmp_path, [path.name])
    save_weights(nn.Linear(3, 2), path)
    manifest.check(tmp_path, path.name)
    assert manifest.listed(tmp_path) == {}
