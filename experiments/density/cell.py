"""A fit of the density page, in a process of its own: `python -m experiments.density.cell FOLDER`."""

import json
import signal
import sys
import time
from pathlib import Path

import torch

from experiments.density.rows import MEASURES
from experiments.density.sources import read
from models.shared import runs


def main(folder):
    """Do what `FOLDER/cell.json` says, and write `FOLDER/result.json`.

    Minutes are those of the processor: the fit has one thread, and others may share the machine.
    """
    wanted = json.loads((Path(folder) / "cell.json").read_text())
    table, measure = read(wanted["source"]), MEASURES[wanted["row"]]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    begin, passed = time.process_time(), time.monotonic()
    try:
        result = measure(table, wanted["seed"], wanted["place"], **wanted["settings"])
    finally:
        torch.set_num_threads(threads)
    seconds = {"seconds": time.process_time() - begin, "wall_seconds": time.monotonic() - passed}
    code = {key: runs.provenance()[key] for key in ("commit", "uncommitted_changes")}
    runs.write_json(Path(folder) / "result.json", {**seconds, **result, **code})


if __name__ == "__main__":
    # As an exception, which ends the process of a rival too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    main(sys.argv[1])
