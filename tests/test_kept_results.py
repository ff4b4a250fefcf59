"""The results that lie in the checkout are of the settings of their tables: no page tells of what code cannot make."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest

from experiments import pages
from experiments.tables import conditional_gan, dpvae, dpvae_page, gan_points, gan_tricks, kept, trip
from pyro_priors.data.points import MODES

RUN = Path("RUN")  # of a classifier, which is not read here


def settings():
    """Folder -> the configurations of all rows and seeds that may lie in it."""
    seeds = range(3)
    points, tricks = gan_points.GanPointsConfig(), gan_tricks.GanTricksConfig(classifier=RUN)
    rows, conditional = trip.TripConfig(classifier=RUN), conditional_gan.ConditionalGanConfig(classifier=RUN)
    flows, fast = dpvae.DpvaeConfig(), dataclasses.replace(rows, train=dataclasses.replace(rows.train, prior_lr=1e-2))
    return {
        "gan-points": [
            points.run(*row) for row in itertools.product(MODES, gan_points.KINDS, gan_points.PRIORS, seeds)
        ],
        "gan-tricks": [tricks.run(row) for row in tricks.rows],
        "trip-mnist": [rows.run(*row) for row in itertools.product(trip.MODELS, trip.PRIORS, seeds)],
        "trip-mnist-fast-prior": [fast.run("wgan-gp", "trip", seed) for seed in seeds],
        "conditional-gan-mnist": [conditional.run(*row) for row in itertools.product(conditional_gan.ROWS, seeds)],
        "dpvae-mnist": [flows.run(*row) for row in itertools.product(dpvae_page.OBJECTIVES, dpvae_page.PRIORS, seeds)],
    }


@pytest.mark.parametrize("table", settings())
def test_kept_results_are_of_the_settings_of_their_table(table):
    wanted = {config.name: config for config in settings()[table] if config is not None}
    paths = sorted((pages.FOLDER / table).glob("*.json"))
    assert paths
    for path in paths:
        found = json.loads(path.read_text())
        assert kept.result(path.parent, wanted[path.stem], found.get("beside")) == found


def test_a_result_of_other_settings_is_noticed(tmp_path):
    config = gan_points.GanPointsConfig().run("grid", "gan", "normal", 0)
    found = json.loads((pages.FOLDER / "gan-points" / f"{config.name}.json").read_text())
    found["config"]["lr"] /= 2
    (tmp_path / f"{config.name}.json").write_text(json.dumps(found))
    assert kept.result(tmp_path, config, strict=False) is None
