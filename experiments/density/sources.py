"""Where the rows of a fit come from, as values that a process can be told."""

from experiments.density import codes
from pyro_priors.data.binary_tables import read_binary_table


def of_table(path, name):
    """The source of a binary table."""
    return {"kind": "binary", "path": str(path.absolute()), "name": name}


def of_codes(path):
    """The source of codes that were written."""
    return {"kind": "codes", "path": str(path.absolute())}


def read(source):
    """What a source has: a name, and rows to fit to, to choose by and to score."""
    if source["kind"] == "codes":
        return codes.read(source["path"])
    return read_binary_table(source["path"], source["name"])
