"""Runs that a figure sets side by side, and the test images they have in common."""

from models.shared import run_data, runs
from pyro_priors.checks import UserError


def read(config, same=("data",)):
    """Read the autoencoders that a figure compares -> list of `runs.Trained`, their test part.

    Args:
        config: of the figure, with `runs`, their folders, and `data_root`, where the data lie if not where they did.
        same: knobs that have to agree, beside the shape of the images.

    Raises:
        UserError: a run that cannot be read, of no autoencoder of images alone, or of other data than the first.
    """
    trained = [runs.trained(folder) for folder in config.runs]
    for run, _ in trained:
        if not run.config.reconstructs:
            raise UserError(f"runs: expected autoencoders of images alone, got a {run.config.model} in {run.folder}")
    if len({(run.image_shape, *(getattr(run.config, knob) for knob in same)) for run, _ in trained}) > 1:
        raise UserError("runs: expected all of the same data, got different ones")
    return trained, run_data.of(trained[0].run, config.data_root).test
