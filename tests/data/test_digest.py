"""Hashes of what a training was given."""

import json

import torch
from PIL import Image
from torchvision_files import write_celeba

from pyro_priors.data.attribute_table import read_csv
from pyro_priors.data.digest import changes, digest, repeated, unseen
from pyro_priors.data.images import Images
from pyro_priors.data.loading import ImageData, load
from pyro_priors.data.names import GENERATED
from pyro_priors.data.streaming import Streaming


def data_of(name, pixels, contents=()):
    return ImageData(name, (1, 2, 2), *(Images(part) for part in pixels), contents=contents)


def folder(**parts):
    """Data of a folder: {part: {name: content}}."""
    pixels = [torch.zeros(len(names), 1, 2, 2, dtype=torch.uint8) for names in parts.values()]
    return data_of("folder", pixels, tuple(parts.values()))


THEN = {"training": {"a": "1", "b": "2"}, "validation": {"c": "3"}, "test": {"d": "4", "e": "5"}}


def test_of_sets_that_are_files():
    pixels = [torch.randint(0, 256, (count, 1, 2, 2), dtype=torch.uint8) for count in (4, 2, 2)]
    then = digest(data_of("mnist", pixels))
    assert set(then) == {"training", "validation", "test"}
    assert json.loads(json.dumps(then)) == then
    assert changes(then, digest(data_of("mnist", [part.clone() for part in pixels]))) is None
    other = [pixels[0], pixels[1], pixels[2].clone()]
    other[2][1, 0, 1, 1] += 1
    now = digest(data_of("mnist", other))
    assert str(changes(then, now)) == "other images in the test part"
    assert changes(then, now, ("training", "validation")) is None
    assert set(digest(data_of("mnist", [pixels[0], pixels[1].float(), pixels[2].float()]))) == {"training"}
    assert digest(data_of(GENERATED[-1], pixels)) == {}


def test_streamed_faces_have_hashes(tmp_path, monkeypatch):
    write_celeba(tmp_path, monkeypatch)
    streamed = load("celeba", tmp_path, image_size=8, stream=Streaming())
    assert set(digest(streamed)) == {"training", "validation", "test"}
    assert len(streamed.train.pixels.contents) == len(streamed.train)
    (tmp_path / "celeba" / "img_align_celeba" / str(streamed.train.pixels.names[0])).unlink()
    Image.new("RGB", (178, 218), (9, 9, 9)).save(
        tmp_path / "celeba" / "img_align_celeba" / str(streamed.train.pixels.names[0])
    )
    now = digest(load("celeba", tmp_path, image_size=8, stream=Streaming()))
    assert str(changes(digest(streamed), now)) == "other images in the training part"


def test_of_a_folder():
    assert digest(folder(**THEN)) == THEN
    assert changes(THEN, THEN) is None
    now = {**THEN, "test": {"d": "4", "e": "6", "f": "7"}}
    assert changes(THEN, now)[:4] == (1, 0, 1, 0)
    assert changes(THEN, now, ("training", "validation")) is None  # what was trained on is as it was
    now = {"training": {"a": "1"}, "validation": {"c": "9"}, "test": {"d": "4", "b": "2"}}
    assert str(changes(THEN, now)) == "0 added, 1 removed, 1 changed, 1 moved"
    assert str(changes(THEN, now, ("training", "validation"))) == "0 added, 0 removed, 1 changed, 1 moved"


def test_only_what_a_training_did_not_see():
    data = folder(training={"x": "8"}, validation={"d": "4", "n": "2"}, test={"m": "1", "o": "3", "p": "9", "d2": "4"})
    assert unseen(THEN, data, "test") == [2, 3]  # what only stood in the test part was not seen
    assert unseen(THEN, data, "validation") == [0]


def test_labels_beside_the_images():
    then = {"training": {"a": "1-x", "b": "2-x"}, "validation": {"c": "3-y"}, "test": {"d": "4-y", "e": "5"}}
    now = {"training": {"a": "1-y", "b": "9-x"}, "validation": {"d": "4-y"}, "test": {"c": "3-x", "e": "5-x"}}
    assert str(changes(then, now)) == "0 added, 0 removed, 1 changed, 2 moved, 2 relabelled"
    assert changes(then, {**then, "test": {"d": "4-x", "e": "5"}}, ("training", "validation")) is None
    assert changes(then, THEN) is None  # which says nothing of labels
    data = folder(training={"x": "8-x"}, validation={"n": "2-y", "p": "9-x"}, test={"m": "1-z", "o": "4-x", "q": "2"})
    assert unseen(then, data, "test") == [1]
    assert unseen(then, data, "validation") == [1]
    assert "1 of 3 test images equal images of the training or validation part (such as q and n)" in repeated(data)


def test_the_hash_of_a_row(tmp_path):
    def hashes(text, columns=(), kinds=None):
        (tmp_path / "a.csv").write_text("image" + text)
        kinds = {"v": "continuous"} if kinds is None else kinds
        return read_csv(tmp_path / "a.csv", columns, kinds=kinds).hashes

    then = hashes(",v,w\na,1,x\nb,2.5,y\nc,,y\nd,1,x\n")
    assert len(set(then)) == 3
    assert then[0] == then[3]
    assert hashes(",v,w\na,1.0,x\nb,2.5,y\nc,NA,y\nd,1e0,x\n") == then
    assert hashes(";w;v\na;x;1,0\nb;y;2,5\nc;y;\nd;x;1\n") == then
    now = hashes(",v,w\na,1,x\nb,2500,y\nc,0,\nd,1,x\n")  # moves the mean and the deviation of all
    assert [old == new for old, new in zip(then, now, strict=True)] == [True, False, False, True]
    assert hashes(",v,u\na,1,x\nb,2.5,y\nc,,y\nd,1,x\n")[0] != then[0]  # another attribute
    first, second = (hashes(f",p,q\na,{cells}\nb,1,0\n", ["r=p|!q"], {}) for cells in ("0,1", "1,1"))
    assert (first[0] == second[0], first[1] == second[1]) == (False, True)
