"""Published figures on the same test rows, in nats, each with where it was read."""

from typing import NamedTuple


class Published(NamedTuple):
    """Figures by set, as the source prints them; `source` is where they were read, or that they were not."""

    title: str
    nats: dict[str, str]
    source: str


_TRANSCRIPT = "results/spn.txt of github.com/marawangamal/ptn at b741aea, a transcript of the circuits' papers"
PUBLISHED = (
    Published(
        "EiNet (Peharz et al. 2020), by EM",
        {"nltcs": "-6.02", "plants": "-13.68", "accidents": "-35.59", "dna": "-96.09"},
        f"column sEM of {_TRANSCRIPT}",
    ),
    Published(
        "the same, by Adam",
        {"nltcs": "-6.04", "plants": "-13.74", "accidents": "-37.45", "dna": "-97.68"},
        f"column Adam of {_TRANSCRIPT}",
    ),
    Published(
        "RAT-SPN (Peharz et al. 2019)",
        {"nltcs": "-6.01", "plants": "-13.44", "accidents": "-35.49", "dna": "-97.23"},
        f"column RAT-SPN of {_TRANSCRIPT}",
    ),
    Published(
        "LearnSPN (Gens, Domingos 2013)",
        {"nltcs": "-6.11", "plants": "-12.98", "accidents": "-30.04", "dna": "-82.52"},
        f"column LSPN of {_TRANSCRIPT}",
    ),
    Published(
        "ID-SPN (Rooshenas, Lowd 2014)",
        {"nltcs": "-6.02", "plants": "-12.54", "accidents": "-26.98", "dna": "-81.21"},
        f"column ID-SPN of {_TRANSCRIPT}",
    ),
    Published(
        "HCLT, regularised (Liu, Van den Broeck 2021)",
        {"nltcs": "-6.00", "plants": "-14.26", "accidents": "-26.74", "dna": "-79.06"},
        "mean over the authors' five logs, last line of each, in github.com/UCLA-StarAI/Tractable-PC-Regularization at "
        "05743c7, non-deterministic PCs/logs_12_4_0.1_0.002_0.001_{1..5}",
    ),
    Published(
        "matrix product states, squared",
        {"plants": "-13.9", "accidents": "-36.6", "dna": "-82.6"},
        "as this project's design quotes them; the source was not seen",
    ),
)
