"""`pyro-priors explore MODEL`: a page in the browser over a saved law of a table, or a run of a joint VAE."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from pyro_priors.explore.serving import serve
from pyro_priors.explore.subjects import open_subject

MODEL = tyro.conf.arg(metavar="MODEL")


@dataclasses.dataclass(frozen=True)
class Explore:
    """Ask a law in the browser: set some variables, and see what that says of the others. Ctrl-C stops it.

    Only this machine can open the page, and only by the address that is printed.
    """

    model: Annotated[tyro.conf.Positional[Path], MODEL]  # Folder of `impute --model`, or a run of a joint VAE.
    port: int = 0  # Of the address; 0: any that is free.
    browser: bool = False  # Also open it in the browser.


def main(config: Explore) -> None:
    """Open what lies there and serve it until a signal comes."""
    serve(open_subject(config.model), config.port, browser=config.browser)
