"""What values a variable takes, and how that is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, cast

from torch import Tensor

from pyro_priors.checks import check_choice, check_count

Covariance = Literal["full", "diagonal", "low-rank"]
FACTORS = 8  # of a low-rank covariance


@dataclass(frozen=True)
class Discrete:
    """A variable with states 0, 1, ..., categories - 1, written as floats.

    Args:
        categories: number of states, at least 1.
    """

    categories: int

    def __post_init__(self):
        check_count("categories", self.categories)


@dataclass(frozen=True)
class Continuous:
    """A real variable whose law is a mixture of Gaussians.

    Args:
        components: number of Gaussians, at least 1.
    """

    components: int = 10

    def __post_init__(self):
        check_count("components", self.components)


@dataclass(frozen=True)
class Vector:
    r"""Several real numbers in one variable, whose law is a mixture of Gaussians over all of them.

    .. math:: p(x) = \sum_s w_s N(x \mid \mu_s, \Sigma_s)

    with weights w that depend on the rest of the chain. Cost of N Gaussians of n numbers: O(N n^2) a row, O(N n) where
    they are diagonal, O(N n q) with q factors, and as many parameters.

    Shapes:
        so many columns of an event as it has numbers, next to each other; any of them may be NaN (missing).

    Args:
        size: how many numbers, at least 1.
        covariance: of the Gaussians: ``"full"``, ``"diagonal"`` or ``"low-rank"`` (of a few factors that the numbers
            share, plus a diagonal).
        factors: how many, of ``"low-rank"``; 8 by default, not more than there are numbers.
        components: number of Gaussians, at least 1. None: one for each state of a factored chain's bond, to which they
            belong; of full cores 10.

    Raises:
        ValueError: a size below 1, an unknown covariance, factors of another one than low-rank, or more than numbers.

    See Also:
        `Discrete` and `Continuous`; ``block_size`` of `pyro_priors.TRIP` and `pyro_priors.TTLP`, vectors of latents.

    Example:
        >>> import torch
        >>> from pyro_priors import TTLP, Discrete, Vector
        >>> law = TTLP(0, {"gaze": Vector(2), "digit": Discrete(3)}, rank=4)()
        >>> law.event_shape, law.condition(gaze=torch.tensor([0.5, torch.nan])).categorical("digit").probs.shape
        (torch.Size([3]), torch.Size([3]))
    """

    size: int
    covariance: Covariance = "full"
    factors: int | None = None
    components: int | None = None

    def __post_init__(self):
        check_count("size", self.size)
        check_choice("covariance", self.covariance, ("full", "diagonal", "low-rank"))
        if self.components is not None:
            check_count("components", self.components)
        if self.covariance == "low-rank":
            factors = min(FACTORS, self.size) if self.factors is None else check_count("factors", self.factors)
            if factors > self.size:
                raise ValueError(f"factors: expected at most {self.size}, the size of the vector, got {factors}")
            object.__setattr__(self, "factors", factors)
        elif self.factors is not None:
            raise ValueError(f"factors: expected none with covariance={self.covariance!r}, got {self.factors}")


Kind = Discrete | Continuous | Vector


def states_of(kind: Kind) -> int:
    """How many states a core needs for it."""
    if isinstance(kind, Vector) and kind.components is None:
        raise ValueError(f"{kind}: expected the number of its Gaussians, got None")
    return kind.categories if isinstance(kind, Discrete) else cast(int, kind.components)


def width_of(kinds: Iterable[Kind]) -> int:
    """How many columns variables of these kinds have."""
    return sum(kind.size if isinstance(kind, Vector) else 1 for kind in kinds)


def check_scalars(attributes: Mapping[str, Kind]) -> None:
    """`ValueError` where one is a vector, of a part that takes none."""
    for name, kind in attributes.items():
        if isinstance(kind, Vector):
            raise ValueError(f"attributes[{name!r}]: expected Discrete or Continuous, got {kind_text(kind)}")


def kind_text(kind: Kind) -> str:
    """A kind with what is not as usual.

    Example:
        >>> kind_text(Discrete(3)), kind_text(Vector(4, "low-rank", factors=2, components=5))
        ('Discrete(3)', 'Vector(4, low-rank of 2, components=5)')
    """
    if not isinstance(kind, Vector):
        return f"{type(kind).__name__}({states_of(kind)})"
    covariance = {"full": "", "diagonal": ", diagonal", "low-rank": f", low-rank of {kind.factors}"}[kind.covariance]
    components = "" if kind.components is None else f", components={kind.components}"
    return f"Vector({kind.size}{covariance}{components})"


def kinds_text(kinds: Sequence[Kind], single: bool) -> str:
    """The kinds of a variable, or of the columns of a block.

    Example:
        >>> kinds_text([Discrete(10)], single=True)
        'Discrete(10)'
        >>> kinds_text([Continuous(5)] * 8 + [Discrete(3)], single=False)
        '8 x Continuous(5) + 1 x Discrete(3)'
    """
    runs = [(kind, len(list(run))) for kind, run in groupby(kinds)]
    texts = [kind_text(kind) for kind, _ in runs]
    if single:
        return texts[0]
    return " + ".join(f"{count} x {text}" for (_, count), text in zip(runs, texts, strict=True))


def variables_text(described: Sequence[tuple[str, str]], most: int = 20) -> str:
    """Names and kinds of variables as one line, cut where there are more than `most`."""
    listed = [f"{name}: {text}" for name, text in described[:most]]
    return ", ".join([*listed, f"and {len(described) - most} more"] if len(described) > most else listed)


def numbers_text(numbers: Sequence[int], most: int = 12) -> str:
    """Numbers with commas, cut in the middle where there are more than `most`."""
    cut = numbers if len(numbers) <= most else [*numbers[: most // 2], "...", numbers[-1]]
    return ", ".join(map(str, cut))


def order_text(order: Tensor | tuple[int, ...] | None) -> str:
    """An order of the variables in a chain.

    Example:
        >>> import torch
        >>> order_text(None), order_text(torch.tensor([1, 0])), order_text(torch.arange(100).flip(0))
        ('declared', '[1, 0]', '[99, 98, 97, 96, 95, 94, ..., 0]')
    """
    if order is None:
        return "declared"
    if isinstance(order, Tensor) and order.is_meta:
        return "unknown"  # there are no numbers on this device
    columns = order.tolist() if isinstance(order, Tensor) else list(order)
    return "declared" if columns == list(range(len(columns))) else f"[{numbers_text(columns)}]"
