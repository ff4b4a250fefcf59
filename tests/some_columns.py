"""Columns of tables that tests of several files look at."""

import random

from pyro_priors.data.deciding import decide
from pyro_priors.data.judging import Cells

DRAW = random.Random(0)
AGES = [str(DRAW.randint(18, 90)) for _ in range(100)]
ZIPS = ["02134", *(str(90_000 + 7 * step) for step in range(29))] * 3
DECIMALS = [f"{DRAW.random():.6f}" for _ in range(200)]
NAMES = [f"face-{DRAW.getrandbits(60):x}" for _ in range(100)]


def column(*texts, **how):
    return decide(Cells("f.csv", "x", range(2, len(texts) + 2), texts), **how)


def write(folder, text):
    (folder / "faces.csv").write_text(text)
    return folder / "faces.csv"
