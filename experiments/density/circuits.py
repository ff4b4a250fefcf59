"""SPFlow's circuits, fitted by `spflow_rival.py` in whatever environment has them."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from pyro_priors.checks import UserError

PROGRAM = Path(__file__).with_name("spflow_rival.py")
# Of 1.1.0: its hidden Chow-Liu tree, made for such tables, and its EiNet, both by its Adam. Its EM leaves NaN after
# some batches; its LearnSPN stops at a column that is constant in a slice, and takes too long at a hundred columns.
TRIALS = {
    "hclt-16": {"kind": "hclt", "states": 16, "lr": 0.1},
    "hclt-32": {"kind": "hclt", "states": 32, "lr": 0.1},
    "einet-20": {"kind": "einet", "states": 20, "repetitions": 5, "depth": 3, "lr": 0.05},
}


def python(place):
    """The interpreter that has SPFlow: the one that was named, or this one; None where neither is."""
    if place is not None:
        return place
    return Path(sys.executable) if importlib.util.find_spec("spflow") else None


def measure(table, seed, place, **settings):
    """Fit one of its circuits; `place` has `spflow_python` and the `seconds` that a fit may take.

    Raises:
        UserError: rows with missing cells, which its trees do not take; its program failed, whose last words follow.
    """
    if any(part.isnan().any() for part in table[1:]):
        raise UserError(f"spflow: expected a table without missing cells, got {table.name}")
    with tempfile.TemporaryDirectory() as folder:
        for name, part in zip(("train", "valid", "test"), table[1:], strict=True):
            np.save(Path(folder) / f"{name}.npy", part.numpy())
        wanted = {"seed": seed, "seconds": place["seconds"], **settings}
        (Path(folder) / "settings.json").write_text(json.dumps(wanted))
        ended = subprocess.run(
            [python(place["spflow_python"]), PROGRAM, folder], stdout=sys.stderr, stderr=subprocess.PIPE, text=True
        )
        if ended.returncode:
            words = ended.stderr.strip().splitlines()[-1:] or [f"status {ended.returncode}"]
            raise UserError(f"spflow: expected {settings['kind']} to end well, got {words[0]}")
        return json.loads((Path(folder) / "result.json").read_text())
