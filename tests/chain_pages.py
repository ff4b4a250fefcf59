"""What tests of the pages of chains share: tables that are made here, and fits that run in this process."""

import sys

import torch

from experiments.density import cell
from pyro_priors.checks import UserError
from pyro_priors.data.binary_tables import PARTS


def write_tables(folder, **widths):
    """Tables whose neighbours depend on each other, `{name: columns}`."""
    generator = torch.Generator().manual_seed(0)
    folder.mkdir()
    for name, width in widths.items():
        for part, count in zip(PARTS, (60, 30, 30), strict=True):
            steps = torch.rand(count, width, generator=generator) < 0.2
            text = "\n".join(",".join(map(str, row)) for row in (steps.cumsum(1) % 2).tolist())
            (folder / f"{name}.{part}.data").write_text(text + "\n")
    return folder


def run_here(monkeypatch):
    """Fits run in this process -> their names in order."""
    begun = []

    def run(arguments, log, name):
        assert arguments[:3] == [sys.executable, "-m", "experiments.density.cell"]
        begun.append(name)
        try:
            cell.main(arguments[3])
        except UserError as error:
            log.write_text(f"Traceback\npyro_priors.checks.UserError: {error}\n")
            return 1
        return 0

    monkeypatch.setattr("experiments.launch.run", run)
    return begun
