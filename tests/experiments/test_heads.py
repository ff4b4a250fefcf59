"""What stands above the tables: question and answer, protocol, judges, and the index of all pages."""

import re

import pytest
import torch

from experiments import heads, pages
from experiments.answers import Entry, Measure, best
from experiments.tables import catalogue, check, protocol
from experiments.tables.judged import Judges
from experiments.tables.spec import Cell, Row
from experiments.trainings import to_json, training
from pyro_priors.data.images import Images
from pyro_priors.data.loading import ImageData
from pyro_priors.training import loop

PAGES = sorted(path for path in pages.FOLDER.glob("*.md") if path.name != heads.INDEX)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_begins_with_question_answer_and_what_would_change_it(path):
    title, *paragraphs = path.read_text().split("\n\n")[:4]
    assert title.startswith("# ")
    for key, text in zip(heads.TITLES, paragraphs, strict=True):
        assert text.startswith(f"{heads.mark(key)} ")
        assert "\n" not in text
    question, answer, _ = paragraphs
    assert question.endswith("?")
    assert re.search(r"\d", answer)
    assert answer.endswith(".")
    assert heads.NONE_YET not in answer


@pytest.mark.parametrize("name", [name for name in catalogue.tables() if (pages.FOLDER / f"{name}.md").exists()])
def test_a_table_has_its_protocol_above_its_first_row(name):
    text = (pages.FOLDER / f"{name}.md").read_text()
    above = text[: text.index("\n|")]
    for thing in ("Networks", "Training", "Seeds", "Weights", "Trials of tuning"):
        assert f"\n- {thing}, " in above


def test_the_index_is_of_the_pages_and_every_page_of_a_command(tmp_path):
    assert check.index() == []
    (tmp_path / "stray.md").write_text("# Stray\n")
    (tmp_path / "trip-elbo.md").write_text("# T\n\n**Question.** Which?\n\n**Answer.** This one.\n")
    (tmp_path / heads.INDEX).write_text(f"Before\n{heads.BEGIN}\n{heads.END}\nafter\n")
    assert check.index(tmp_path) == [
        f"{tmp_path / 'stray.md'}: of no table and no other page",
        f"{tmp_path / heads.INDEX}: another text than its results give",
    ]
    heads.refresh(tmp_path)
    item = "- [trip-elbo](trip-elbo.md): Which? This one."
    text = f"Before\n{heads.BEGIN}\n\n{item}\n\n{heads.END}\nafter\n"
    assert (tmp_path / heads.INDEX).read_text() == text
    assert check.index(tmp_path) == [f"{tmp_path / 'stray.md'}: of no table and no other page"]


def test_a_page_that_is_written_is_in_the_index_at_once(tmp_path, capsys):
    (tmp_path / heads.INDEX).write_text(f"{heads.BEGIN}\n{heads.END}\n")
    pages.show(tmp_path / "mine.md", pages.text(*heads.Head("Why?", lambda _: "So 1.", "All.").on(["# Mine"], ())))
    assert "- [mine](mine.md): Why? So 1." in (tmp_path / heads.INDEX).read_text()


def test_an_answer_that_has_nothing_to_rest_on_says_so():
    parts = heads.Head("Why?", lambda _: "", "All.").on(["# Mine", "text"], ())
    assert parts == ["# Mine", "**Question.** Why?", f"**Answer.** {heads.NONE_YET}", parts[3], "text"]
    assert heads.Head("Why?", lambda _: "", "All.").on([], ()) == []


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ([2.0, 2.2, 2.4], "0.20 points below b (within two standard errors)"),  # their noise: 2 * 0.163
        ([3.0, 3.2, 3.4], "1.20 points below b"),
        ([3.0], "1.00 points below b (one seed)"),
    ],
)
def test_differences_are_held_against_their_noise(second, said):
    measure = Measure("error", None, unit=" %")
    words = best(measure, [Entry("b", second), Entry("a", [1.8, 2.0, 2.2])])
    assert words == f"a has the lowest error, 2.00 %, {said}"


def row(title, seeds=(0,), judge=None, parameters=5, **knobs):
    """A row of a VAE with these knobs."""
    config = {"epochs": 3, "batch_size": 10, "lr": 0.1, "hidden": [8], "latent_dim": 2, "patience": None, **knobs}
    result = {"config": config, "parameters": {"prior": parameters}, "beside": {"judge": judge}}
    return Row(Cell((title,), "vae", {}, titles=(title,)), dict.fromkeys(seeds, result))


def lines_of(rows, tuned=None):
    table = catalogue.table("trip-elbo")
    return protocol.lines(type("Table", (), {"tuned": tuned or table.tuned}), rows)[1:]


def test_a_protocol_says_what_is_the_same_and_who_differs():
    ring = row("ring", (0, 1), prior_lr=0.01, rank=10, init="noise", standard_start=False, parameters=700)
    mixture = row("mixture", (0, 1), prior_lr=0.01, components=100, standard_start=False, parameters=400)
    rival = row("rival", epochs=2, prior_epochs=4, parameters=0)
    said = lines_of([ring, mixture, rival], {"rival": "chosen on the test part"})
    far = "not brought to mean 0 and standard deviation 1"
    assert said == [
        "- Networks, the same for all: dense layers of 8, 2 latents.",
        "- Training, **not the same**:\n  - 2 epochs of batches of 10, 4 more of the prior alone, Adam 0.1: rival\n"
        "  - 3 epochs of batches of 10, Adam 0.1: all others",
        "- Rate of the prior, the same for all: 0.01.",
        f"- Start of the prior, **not the same**:\n  - from noise, {far}: ring\n  - as it is made, {far}: mixture",
        "- Size of the prior, **not the same**:\n  - rank 10, 700 parameters: ring\n"
        "  - components 100, 400 parameters: mixture\n  - none: rival",
        "- Seeds, **not the same**:\n  - 0: rival\n  - 0, 1: all others",
        "- Weights, the same for all: of the epoch that is best on the validation part.",
        "- Trials of tuning, **not the same**:\n  - chosen on the test part: rival\n"
        f"  - {protocol.UNRECORDED}: all others",
    ]


def test_rows_that_share_a_title_are_named_by_it():
    every = [
        Row(Cell((kind, prior), "gan", {}, titles=(kind, prior)), {}) for kind in ("A", "B") for prior in ("x", "y")
    ]
    assert protocol.names(every[:2], every) == "A"
    assert protocol.names([every[0], every[2]], every) == "x"
    assert protocol.names(every[:3], every) == "A; B, x"


def test_rows_say_who_judged_them_and_a_page_says_when_judges_differ():
    one, two = ({"weights": w, "accuracy": a, "extractor": "E"} for w, a in (("11", 0.99), ("22", 0.9)))
    same = Judges([row("a", judge=one), row("b", judge=one), row("c")])
    assert not same.mixed
    assert same.lines() == ["- Judge A: E, weights 11, right on 99.00% of the labels of the test set."]
    several = Judges([row("a", judge=one), row("b", judge=two)])
    assert several.mixed
    assert several.lines()[0].startswith("Rows were read by different judges")
    (read,) = several.columns.values()
    assert [read(row("b", judge=two)), read(row("c"))] == ["B 90.00%", ""]
    assert Judges([row("c")]).columns == {}


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("vae", {}),
        ("vae", {"objective": "info"}),
        ("vae", {"objective": "info", "divergence": "adversarial"}),
        ("vae", {"objective": "factor"}),
        ("aae", {}),
        ("vae-gan", {}),
        ("gan", {}),
        ("wgan", {}),
    ],
)
def test_weights_are_those_that_the_objective_keeps(model, values):
    config = training(model, {"hidden": (4,), "latent_dim": 2, "prior": "normal", "batch_size": 4}, **values)
    images = Images(torch.zeros(8, 1, 28, 28), binarize=False)
    images = ImageData("mnist", (1, 28, 28), images, images, images)
    steps, _ = config.steps(config.start(images), images, 1)
    kept = "of the epoch that is best on the validation part" if loop.steady(steps) else "of the last epoch"
    result = {"config": to_json(config)}
    assert protocol.weights(Row(Cell((model,), model, {}), {0: result})) == kept
