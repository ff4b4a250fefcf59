"""The figures about attributes: they are drawn, and show what they are told."""

from types import SimpleNamespace
from typing import NamedTuple

import matplotlib.image
import pyro.distributions as dist
import pytest
import torch

import pyro_priors as pp
from models.shared import figures, figures_attributes
from pyro_priors.data.attributes import Attribute, kinds
from pyro_priors.data.images import Images
from pyro_priors.networks import GatedMLPDecoder, GatedMLPEncoder
from pyro_priors.programs import JointVAE

NAN = torch.nan


class Calibration(NamedTuple):
    confidence: torch.Tensor
    accuracy: torch.Tensor
    count: torch.Tensor
    ece: float


class Coverage(NamedTuple):
    coverage: torch.Tensor
    accuracy: torch.Tensor


CALIBRATION = Calibration(
    torch.tensor([NAN, 0.4, 0.9]), torch.tensor([NAN, 0.5, 0.8]), torch.tensor([0.0, 10.0, 900.0]), 0.0987
)
COVERAGE = Coverage(torch.linspace(0.01, 1, 100), torch.linspace(1, 0.9, 100))


@pytest.fixture
def drawn(monkeypatch):
    """Keeps the figures that would be written, laid out but not rendered -> list of them."""
    written = []

    def keep(figure, path):
        written.append(figure)
        figure.draw_without_rendering()

    monkeypatch.setattr(figures_attributes, "save", keep)
    return written


def texts(figure):
    """Everything that is written in a figure."""
    return {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))} - {""}


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_every_figure_is_a_png(tmp_path, count):
    names = [f"name {index}" for index in range(count)]
    figures_attributes.latent_space(tmp_path / "a.png", torch.randn(50, 3), torch.randint(count, (50,)).float(), names)
    figures_attributes.attribute_grid(tmp_path / "b.png", {name: torch.rand(4, 3, 8, 8) for name in names[:10]})
    figures_attributes.matrix(tmp_path / "c.png", names, torch.rand(count, count))
    figures_attributes.reliability(tmp_path / "d.png", dict.fromkeys(names, CALIBRATION))
    figures_attributes.coverage(tmp_path / "e.png", dict.fromkeys(names, COVERAGE))
    shapes = [matplotlib.image.imread(path).shape for path in tmp_path.iterdir()]
    assert len(shapes) == 5
    assert all(min(shape[:2]) > 50 for shape in shapes)


def test_codes_are_turned_to_where_they_vary_most(tmp_path, drawn):
    torch.manual_seed(0)
    z = torch.randn(500, 4) * torch.tensor([1.0, 0.1, 3.0, 0.01]) + 7
    plane, shares = figures_attributes.principal_plane(z)
    assert plane.var(0).sum().item() == pytest.approx(z.var(0).sum().item(), rel=0.01)
    assert abs(torch.corrcoef(torch.stack([plane[:, 0], z[:, 2]]))[0, 1]) > 0.99
    assert torch.equal(plane, figures_attributes.principal_plane(z.clone())[0])
    labels = torch.randint(2, (500,)).float()
    labels[:100] = NAN
    figures_attributes.latent_space(tmp_path / "a.png", z, labels, ["black", "_$b$"])
    assert {"black", r" _\$b\$", "unknown"} <= texts(drawn[0])
    assert f"principal component 1 of z ({shares[0]:.0%} of variance)" in texts(drawn[0])
    unknown, known = [c.get_offsets() for c in drawn[0].axes[0].collections[:2]]
    assert (len(unknown), len(known)) == (100, 400)


def answers(attributes, count):
    """Some probabilities of every discrete attribute of so many pictures."""
    return {a.name: torch.rand(count, len(a.categories)).softmax(-1) for a in attributes if a.categories}


@pytest.mark.parametrize("names", [("digit",), ("digit", "age"), ("age",), ("digit", "age", "hair")])
def test_a_trained_model_gets_the_figures_that_it_can_answer(tmp_path, names):
    torch.manual_seed(0)
    known = [Attribute("digit", ("0", "1", "2")), Attribute("age", None), Attribute("hair", ("black", "blond"))]
    attributes = [attribute for attribute in known if attribute.name in names]
    prior = pp.TTLP(3, kinds(attributes, components=2), components=3, rank=3)
    model = JointVAE(GatedMLPEncoder((1, 8, 8), 3, (8,)), GatedMLPDecoder(3, (1, 8, 8), (8,)), prior)
    labels = torch.randint(2, (30, len(attributes))).float()
    labels[:5] = NAN
    images = Images(torch.rand(30, 1, 8, 8), labels=labels)
    figures_attributes.draw(tmp_path, model, images, attributes, answers(attributes, 30))
    discrete = len(set(names) - {"age"})
    every = ["reliability.png", "coverage.png", "latent.png", "attributes.png"] if discrete else []
    every += ["dependence.png"] if discrete > 1 else []
    assert {path.name for path in tmp_path.iterdir()} == set(every)


class Generator:
    """Draws pictures and codes of two dimensions, whatever the attributes."""

    prior = SimpleNamespace(latent_dim=2)

    def generate(self, n, **_):
        return torch.rand(n, 1, 2, 2)

    def encode(self, x):
        return dist.Normal(x.new_zeros(len(x), 2), 1.0).to_event(1)


@pytest.mark.parametrize(("count", "known"), [(1, 1), (2, 1), (3, 0), (1, 0)])
def test_what_a_small_test_part_does_not_show_is_left_out(tmp_path, count, known):
    attributes = [Attribute("digit", ("0", "1", "2"))]
    images = Images(torch.rand(count, 1, 2, 2), labels=torch.full((count, 1), NAN))
    images.labels[:known] = 2.0
    figures_attributes.draw(tmp_path, Generator(), images, attributes, answers(attributes, count))
    expected = {"attributes.png"} | ({"reliability.png", "coverage.png"} if known else set())
    assert {path.name for path in tmp_path.iterdir()} == expected | ({"latent.png"} if known and count > 1 else set())


def test_codes_are_coloured_by_what_is_known(tmp_path, drawn):
    attributes = [Attribute("digit", ("0", "1", "2")), Attribute("hair", ("black", "blond"))]
    labels = torch.tensor([[NAN, 1.0], [NAN, NAN], [NAN, 0.0]])
    model = Generator()
    model.attribute_prior = lambda: pp.TTLP(0, kinds(attributes, components=2), components=2, rank=2)()
    images = Images(torch.rand(3, 1, 2, 2), labels=labels)
    figures_attributes.draw(tmp_path, model, images, attributes, answers(attributes, 3))
    reliability, coverage, latent = drawn[:3]
    assert {"black", "blond", "unknown"} <= texts(latent)
    for figure in (reliability, coverage):
        assert any(text.startswith("hair") for text in texts(figure))
        assert not any(text.startswith("digit") for text in texts(figure))


def test_every_test_picture_counts(tmp_path, drawn):
    """Of 2,500 pictures the first 2,000 are answered right, the others wrong: one in five mistakes."""
    attributes = [Attribute("digit", ("0", "1"))]
    right = (torch.arange(2500) < 2000).float()
    probs = {"digit": torch.tensor([[0.01, 0.99]]).expand(2500, 2)}
    model = SimpleNamespace()  # reads pictures, draws none
    images = Images(torch.zeros(2500, 1, 2, 2), labels=right.unsqueeze(1))
    figures_attributes.draw(tmp_path, model, images, attributes, probs)
    assert "digit: 80.00% of all" in texts(drawn[1])
    assert "digit: ECE 0.1900" in texts(drawn[0])


def test_an_attribute_whose_truth_nobody_knows_has_no_curve(tmp_path):
    empty, nothing = torch.full((15,), NAN), torch.zeros(0)
    figures_attributes.reliability(tmp_path / "a.png", {"one": Calibration(empty, empty, torch.zeros(15), NAN)})
    figures_attributes.coverage(tmp_path / "b.png", {"one": Coverage(nothing, nothing), "two": COVERAGE})
    figures_attributes.coverage(tmp_path / "c.png", {"one": Coverage(nothing, nothing)})
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(("z", "labels"), [((5, 1), 5), ((5, 3), 4), ((1, 3), 1), ((5,), 5)])
def test_codes_that_have_no_plane(tmp_path, z, labels):
    with pytest.raises(ValueError, match=r"z: expected two codes \(n, d\) or more of two dimensions or more and n lab"):
        figures_attributes.latent_space(tmp_path / "a.png", torch.zeros(z), torch.zeros(labels), ["a"])


def test_codes_that_do_not_vary(tmp_path):
    figures_attributes.latent_space(tmp_path / "a.png", torch.ones(5, 2), torch.zeros(5), ["a"])


def test_rows_have_their_titles(tmp_path, drawn):
    rows = {"smiling woman in eyeglasses": torch.rand(3, 1, 8, 8), "1 $ and 2 $": torch.rand(2, 1, 8, 8)}
    figures_attributes.attribute_grid(tmp_path / "a.png", rows)
    assert {"smiling woman in\neyeglasses", r"1 \$ and 2 \$"} <= texts(drawn[0])
    first, second = [axis.images[0].get_array() for axis in drawn[0].axes]
    assert first.shape == second.shape == (10, 28)
    assert (second[1:9, 19:27] == 1).all()  # nothing there


@pytest.mark.parametrize(("count", "numbers"), [(3, True), (17, False)])
def test_the_matrix_has_a_blank_diagonal_and_numbers_where_they_fit(tmp_path, drawn, count, numbers):
    values = torch.full((count, count), 0.125).fill_diagonal_(99.0)
    figures_attributes.matrix(tmp_path / "a.png", [f"name{index}" for index in range(count)], values)
    (axis, bar) = drawn[0].axes
    assert ([text.get_text() for text in axis.texts] == ["0.125"] * (count * (count - 1))) == numbers
    assert axis.images[0].get_array().mask.diagonal().all()
    assert bar.get_ylim()[1] == pytest.approx(0.125)


def test_calibration_by_numbers(tmp_path, drawn):
    figures_attributes.reliability(tmp_path / "a.png", {"digit": CALIBRATION})
    assert {"perfectly calibrated", "digit: ECE 0.0987", "0", "10", "900"} <= texts(drawn[0])
    diagonal, line = drawn[0].axes[0].lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert line.get_xydata().round(4).tolist() == [[0.4, 0.5], [0.9, 0.8]]  # bins without an entry have no dot


def test_several_attributes_share_an_axis(tmp_path, drawn):
    figures_attributes.reliability(tmp_path / "a.png", {"one": CALIBRATION, "two": CALIBRATION})
    figures_attributes.coverage(tmp_path / "b.png", {"one": COVERAGE, "two": COVERAGE})
    assert {"one: ECE 0.0987", "two: ECE 0.0987"} <= texts(drawn[0])
    assert {"one: 90.00% of all", "two: 90.00% of all"} <= texts(drawn[1])
    (first, _) = drawn[1].axes[0].lines
    assert first.get_xydata()[-1].round(4).tolist() == [1.0, 0.9]


def test_long_names_are_cut_in_legends_but_still_tell_something():
    assert figures.plain("a_name_that_is_much_too_long", 10) == "a_name_th…"
    assert figures.wrap("male=1, mustache_or_beard=1", 12) == "male=1,\nmustache_or_beard=1"
