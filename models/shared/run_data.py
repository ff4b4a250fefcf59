"""The data of a run: read as it read them, and compared with the hashes that it has of them."""

import dataclasses

from models.shared import runs
from pyro_priors.checks import UserError
from pyro_priors.data import digest
from pyro_priors.data.parts import PARTS


def of(run, data_root=None):
    """The data of a run as it read them, from `data_root` if it is given."""
    config, before = run.config, {}
    if config.data == "folder":
        before = {"channels": run.image_shape[0], "shuffled": run.shuffled}
        if config.labelled:
            before["kinds"] = run.kinds
        if config.labelled and not run.shuffled:
            before["meanings"] = run.attributes
    return dataclasses.replace(config, data_root=data_root or config.data_root).load_data(**before)


def hashes(run):
    """What the run keeps of its data, `{}` where it keeps nothing, as runs of before.

    Raises:
        UserError: a damaged file.
    """
    path = run.folder / runs.DATA
    if not path.is_file():
        return {}
    held = runs.read_json(path)
    if not isinstance(held, dict) or not set(held) <= set(PARTS) or not _alike(held):
        raise UserError(f"run: expected what `train` writes in {path}, got a damaged file")
    return held


def _alike(parts):
    """Whether there is one hash of each part, or names and hashes of all three."""
    kinds = {type(part) for part in parts.values()}
    return kinds <= {str} or (kinds == {dict} and set(parts) == set(PARTS))


def check(run, images):
    """`UserError` where the data that a training goes on with are not those that it began with."""
    then = hashes(run)
    if then and (changes := digest.changes(then, digest.digest(images), digest.LEARNED)):
        raise UserError(
            f"data: expected the training and validation part that {run.folder} began with, got others: {changes} "
            "(put them back, or train anew)"
        )
