"""What `save` and `load` refuse: parts of the user's own, unknown classes, damaged or replaced files."""

import dataclasses
import json

import pytest
from torch import nn

import pyro_priors as pp
from pyro_priors import networks, programs
from pyro_priors.training import load, save, save_weights, saving
from pyro_priors.training.described import WEIGHTS

SHAPE, D = (1, 4, 4), 3


def vae(prior):
    encoder, decoder = networks.GatedMLPEncoder(SHAPE, D, (8,)), networks.GatedMLPDecoder(D, SHAPE, (8,))
    return programs.VAE(encoder, decoder, prior)


class Mine(nn.Linear):
    latent_dim = D


class MyTRIP(pp.TRIP):
    pass


@pytest.mark.parametrize("prior", [Mine(2, 2), MyTRIP(D, 4, 2)])
def test_a_part_of_the_users_own_is_named(tmp_path, prior):
    program = vae(prior)
    with pytest.raises(ValueError, match=f"VAE.prior to be made of the library's .* got a {type(prior).__name__} of"):
        save(program, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@dataclasses.dataclass(frozen=True)
class Ours:
    categories: int


@pytest.mark.parametrize(("value", "text"), [({1, 2}, r"\{1, 2\}"), (Ours(3), r"Ours\(categories=3\)")])
def test_an_argument_of_another_kind_is_named(tmp_path, value, text):
    prior = pp.StandardNormal(D)
    prior.__dict__["_arguments"] = {"latent_dim": value}
    with pytest.raises(ValueError, match=rf"got {text} at StandardNormal.latent_dim"):
        save(prior, tmp_path)


@pytest.fixture
def saved(tmp_path):
    save(vae(pp.TRIP(D, 4, 2)), tmp_path)
    return tmp_path


def change(folder, act):
    path = folder / saving.PROGRAM
    made = json.loads(path.read_text())
    act(made)
    path.write_text(json.dumps(made))


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "networks.os", "networks.autoencoders", "networks.math.prod", "training.fit"),
        *("programs.make_likelihood", "nobody:Prior", "builtins:eval", "", None, 3, {"class": "x"}),
    ],
)
def test_other_classes_are_unknown(saved, name):
    change(saved, lambda made: made["program"]["arguments"]["prior"].update({"class": name}))
    with pytest.raises(ValueError, match="unknown class"):
        load(saved)


def test_other_kinds_are_unknown(tmp_path):
    save(pp.TTLP(2, {"digit": pp.Discrete(3)}, 3, 2), tmp_path)
    text = (tmp_path / saving.PROGRAM).read_text()
    (tmp_path / saving.PROGRAM).write_text(text.replace('"Discrete"', '"TRIP"'))
    with pytest.raises(ValueError, match="kinds of variables such as Discrete, got 'TRIP'"):
        load(tmp_path)


def test_changed_arguments_or_weights_are_noticed(saved):
    change(saved, lambda made: made["program"]["arguments"]["prior"]["arguments"].update(rank=3))
    with pytest.raises(ValueError, match="checksum differs"):
        load(saved)
    program = vae(pp.TRIP(D, 4, 2))
    save(program, saved)
    save_weights(vae(pp.TRIP(D, 4, 2)), saved / WEIGHTS)
    with pytest.raises(ValueError, match="replaced by a training that went on"):
        load(saved)


@pytest.mark.parametrize("name", [saving.PROGRAM, WEIGHTS])
@pytest.mark.parametrize("length", [0, 100])
def test_damaged_files(saved, name, length):
    path = saved / name
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=rf"{name} is damaged .* save the program again"):
        load(saved)


def test_other_text_in_the_place_of_the_program(saved):
    for text in ("[]", "{}", "3", '{"format": 1}', "\udcff".encode("utf-8", "surrogateescape").decode("latin1")):
        (saved / saving.PROGRAM).write_text(text)
        with pytest.raises(ValueError, match="damaged"):
            load(saved)
    (saved / saving.PROGRAM).write_text('{"format": 99, "sha256": ""}')
    with pytest.raises(ValueError, match="expected a program of format 1, got format 99"):
        load(saved)


def test_there_is_no_such_folder(tmp_path):
    with pytest.raises(ValueError, match=r"expected a saved program, got .*nowhere \(it has no file program.json\)"):
        load(tmp_path / "nowhere")
