"""Runs that a figure sets side by side, and the test pictures they have in common."""

import dataclasses

from experiments import build
from pyro_priors.checks import UserError


def read(config, models, same=("data",), expected=None):
    """Read the runs that a figure compares -> list of `build.Trained`, their test part.

    Args:
        config: of the figure, with `runs`, their folders, and `data_root`, where the data lie if not where they did.
        models: those that the figure can show.
        same: knobs that have to agree, beside the shape of the pictures.
        expected: what to call `models` where there is another.

    Raises:
        UserError: a run that cannot be read, of another model, or of other data than the first.
    """
    trained_runs = [build.trained(folder) for folder in config.runs]
    for run, _ in trained_runs:
        if run.config.model not in models:
            wanted = expected or ", ".join(models)
            raise UserError(f"runs: expected {wanted}, got a {run.config.model} in {run.folder}")
    if len({(run.image_shape, *(getattr(run.config, knob) for knob in same)) for run, _ in trained_runs}) > 1:
        raise UserError("runs: expected all of the same data, got different ones")
    first = trained_runs[0].run.config
    return trained_runs, build.load_data(dataclasses.replace(first, data_root=config.data_root or first.data_root)).test
