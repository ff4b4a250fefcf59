"""`train --resume RUN`: a training that was cut off goes on."""

import dataclasses
from pathlib import Path

import tyro

from inference import train
from models.shared import runs
from pyro_priors import training
from pyro_priors.checks import UserError
from pyro_priors.training.checkpoints import has_checkpoint


@dataclasses.dataclass(frozen=True)
class Resume:
    """Go on with a training that was cut off, from its last checkpoint; it ends as if nothing had happened.

    Everything else stands in the run's config.json.
    """

    run: tyro.conf.Positional[Path]  # Run folder that `train` made.


def main(config: Resume):
    """As `train`, in the folder of the run."""
    run = runs.read(config.run, needed=("config.json",))
    if (run.folder / "summary.json").is_file() and not has_checkpoint(run.folder):
        raise UserError(f"run: expected a training that was cut off, got {run.folder}, which has ended (summary.json)")
    try:
        train.main(run.config, run)
    except training.DamagedCheckpoint as error:
        raise UserError(f"{error} (delete it to train from the beginning)") from error
    except training.CheckpointError as error:
        raise UserError(str(error)) from error
