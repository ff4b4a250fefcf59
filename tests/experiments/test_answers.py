"""What the heads of the papers' tables answer, from results that are made up."""

import pytest

from experiments import heads, pages
from experiments.density import page as density
from experiments.tables import dpvae, prior_anatomy, protocol, ttlp
from experiments.tables.spec import Cell, Row

PAGES = sorted(path for path in pages.FOLDER.glob("*.md") if path.name != heads.INDEX)
WIDEST = 450  # characters that a reader takes in at once


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_an_answer_is_a_sentence_of_a_few_lines(path):
    assert len(heads.head_of(path.read_text())["answer"]) <= WIDEST


def regularised(objective, prior, numbers):
    """A row of dpVAE, with a Frechet distance and a MIG by seed."""
    cell = Cell((objective, prior), "vae", {}, titles=(dpvae.OBJECTIVES[objective], dpvae.PRIORS[prior]))
    return Row(cell, {seed: {"generation": {"frechet": a, "mig": b}} for seed, (a, b) in enumerate(numbers)})


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        ([(1.0, 0.2), (3.0, 0.2)], "Frechet distance under 1, MIG under 0 (2 seeds"),
        ([(9.8, 0.2), (10.0, 0.2)], "Frechet distance under 0, MIG under 0 (2 seeds"),  # by 0.1, its error is 0.1
        ([(9.0, 0.1), (20.0, 0.3)], "Frechet distance under 0, MIG under 0 (2 seeds"),  # worse in the mean; 0 +- 0.1
        ([(9.9, 0.3)], "Frechet distance under 1, MIG under 1 (1 seed)"),
    ],
)
def test_a_flow_betters_what_changes_by_more_than_its_noise(flow, said):
    rows = [regularised("elbo", "normal", [(10.0, 0.2)] * len(flow)), regularised("elbo", "flow", flow)]
    assert dpvae.answer(rows).startswith(f"Of 1 bound the flow betters {said}")


def test_bounds_of_one_and_of_several_seeds_are_told_apart():
    rows = [regularised("elbo", prior, [(10.0, 0.2)]) for prior in dpvae.PRIORS]
    rows += [regularised("info", prior, [(10.0, 0.2)] * 3) for prior in dpvae.PRIORS]
    assert dpvae.answer(rows).endswith(
        "(1 or 3 seeds: by more than the standard error of the change; of one seed, at all)."
    )


def taken_apart(name, bounds, **knobs):
    """A row of the anatomy with the bounds as trained and after each change, by seed the same."""
    title, model, _ = prior_anatomy.ROWS[name]
    anatomy = {change: {"elbo": -bound} for change, bound in bounds.items()}
    result = {"anatomy": anatomy, "config": knobs, "information": None}
    return Row(Cell((name,), model, {}, titles=(title,)), {0: result, 1: result})


LATTICE = {"rank": 20, "block_size": None, "components": None}


def test_what_lattices_lose_is_told_from_what_vectors_lose():
    rows = [
        taken_apart("normal", {"whole": 101.0}),
        taken_apart("gmm", {"whole": 98.0, "cut": 120.0}, components=100),
        taken_apart("lattice", {"whole": 97.0, "frozen": 98.0, "cut": 102.0}, **LATTICE),
        taken_apart("factored", {"whole": 97.0, "frozen": 99.5}, **LATTICE),
        taken_apart("vector", {"whole": 96.0, "diagonal": 107.0}, **LATTICE | {"block_size": 32}),
        taken_apart("ttlp-vector", {"whole": 95.0, "frozen": 95.25}, **LATTICE | {"block_size": "auto"}),
    ]
    best, lattices, vectors = prior_anatomy.answer(rows).split("; ")
    assert best.startswith("One vector has the lowest -ELBO, 96.00 nats")
    assert lattices == "of lattices it rises, in nats, with bonds frozen 1.00 to 2.50, bonds cut 5.00"
    assert vectors == "of vectors it rises, in nats, with bonds frozen 0.25, covariances dropped 11.00."


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({}, "components 10, rank 20"),
        ({"components": 5}, "components 5, rank 20"),
        ({"block_size": "auto", "cores": "full"}, "components 10, rank 20"),
        ({"block_size": 16, "covariance": "full"}, "rank 20, vectors of 16, full covariances"),
        ({"block_size": 16, "cores": "full"}, "components 10, rank 20, vectors of 16"),
        ({"block_size": "auto", "cores": "factored"}, "rank 20, vectors of latents"),
    ],
)
def test_a_protocol_names_gaussians_of_a_default(knobs, said):
    config = LATTICE | {"latent_dim": 32, "prior_lr": 0.1} | knobs
    row = Row(Cell(("a",), "vae", {}, titles=("a",)), {0: {"config": config, "parameters": {"prior": 7}}})
    assert protocol.size(row) == f"{said}, 7 parameters"


def labelled(name, share, imputed, shown, judge):
    """A row of conditional generation of one seed."""
    test = {"imputation": {"digit": {"accuracy": imputed}}}
    if shown is not None:
        test["conditions"] = {"mean_accuracy": shown, "judge": {"weights": judge, "accuracy": 0.99}}
    return Row(Cell((name, share), "joint-vae", {}, titles=(name, share)), {0: {"test": test}})


def test_figures_of_one_judge_are_compared_and_the_classifier_stands_beside():
    rows = [
        labelled("joint", "0%", 0.8, 0.7, "1"),
        labelled("weighted", "0%", 0.7, 0.75, "1"),
        labelled("vector", "0%", 0.9, 0.99, "2"),  # by a judge of its own
        labelled("classifier", "0%", 0.95, None, None),
    ]
    assert ttlp.answer(rows) == (
        "The best are, with 0% hidden condition accuracy 75.00 % (VAE-TTLP with log p(y given z); judge A), by other "
        "judges 99.00 % (one vector; judge B), imputation 90.00 % (one vector; the classifier 95.00 %); no +-: one "
        "seed."
    )
    assert "judge" not in ttlp.answer(rows[:2])


def test_densities_are_answered_by_the_best_row_of_each_table():
    cells = [
        {"set": table, "row": row, "trial": "only", "seed": seed, "test": nats, "valid": nats}
        for table, row, seed, nats in [
            ("nltcs", "chain", 0, -6.5),
            ("mine", "chain", 0, -5.0),
            ("mine", "chain", 1, -7.0),
            ("mine", "mixture", 0, -9.0),
        ]
    ]
    said = density.answer({"cells": dict(enumerate(cells))})
    assert said.startswith("The highest test log-density, in nats, is on nltcs -6.50 (")
    assert ", one seed; published -6.00), on mine -6.00 (" in said
    assert density.answer({"cells": {}}) == ""
