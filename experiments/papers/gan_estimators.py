"""GANs among the kept results that differ in the estimator of their prior's gradients alone."""

import json

from experiments import pages
from experiments.answers import Measure, counted, gap
from experiments.tables import catalogue, check

TABLES = ("trip-mnist", "conditional-gan-mnist")
TITLES = {"pathwise": "pathwise", "reinforce": "score function, batch mean", "rloo": "score function, leave-one-out"}
FRECHET = Measure("Frechet distance", lambda result: result.get("conditions", result).get("frechet"), 1)
INTRODUCTION = (
    "What follows for GANs, of the kept results: rows that differ in the estimator of the prior's gradients alone. The "
    "Frechet distance from test images, mean +- standard error over seeds, lower is better, and its difference from "
    "that by pathwise gradients. No GAN here is trained by measure-valued ones."
)


def groups(folder=pages.FOLDER):
    """Name of a table, and its rows that share all but the estimator, pathwise first; of tables with results."""
    made = []
    for name in TABLES:
        rows, _ = check.stored(catalogue.table(name), folder / name, None)
        alike = {}
        for row in rows:
            config = row.results[0]["config"]
            if config.get("estimator") in TITLES and not config.get("normalize"):  # whose gradients are others'
                alike.setdefault(_without_estimator(config), []).append(row)
        order = list(TITLES).index
        sets = [sorted(own, key=lambda row: order(_estimator(row))) for own in alike.values() if len(own) > 1]
        made += [(name, own) for own in sets if _estimator(own[0]) == "pathwise"]
    return made


def _without_estimator(config):
    return json.dumps({key: config[key] for key in sorted({*config} - {"estimator", "normalize", "seed", "name"})})


def _estimator(row):
    return row.results[0]["config"]["estimator"]


def section(made):
    """The lines of the page; none without any."""
    lines = [(name, own[0], row) for name, own in made for row in own]
    columns = {
        "table": lambda line: f"[{line[0]}]({line[0]}.md)",
        "GAN": lambda line: f"{line[2].cell.model}, prior {line[2].results[0]['config']['prior']}",
        "latents": lambda line: str(line[2].results[0]["config"]["latent_dim"]),
        "gradients of the prior": lambda line: TITLES[_estimator(line[2])],
        "Frechet distance": lambda line: FRECHET.text(FRECHET.of(line[2])),
        "seeds": lambda line: str(len(line[2].results)),
        "beside pathwise": lambda line: "" if line[1] is line[2] else _beside(line[2], line[1]),
    }
    return ["## GANs", INTRODUCTION, pages.table(columns, lines)] if lines else []


def _beside(row, pathwise):
    return gap(FRECHET, FRECHET.of(row), FRECHET.of(pathwise, TITLES["pathwise"]))


def said(made):
    """In how many comparisons pathwise gradients give the lower distance by more than the noise; "" of none."""
    every = [(FRECHET.of(own[0]), FRECHET.of(row)) for _, own in made for row in own[1:]]
    clear = [gap(FRECHET, other, first) for first, other in every]
    lower = sum("above" in words and not words.endswith(")") for words in clear)
    higher = sum("below" in words and not words.endswith(")") for words in clear)
    words = f"of {counted(len(every), 'comparison')} of GANs pathwise wins {lower} and loses {higher} clearly"
    return words if every else ""
