"""What values a variable takes, and how that is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor

from pyro_priors.checks import check_count


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


Kind = Discrete | Continuous


def states_of(kind: Kind) -> int:
    """How many states a core needs for it."""
    return kind.categories if isinstance(kind, Discrete) else kind.components


def kinds_text(kinds: Sequence[Kind], single: bool) -> str:
    """The kinds of a variable, or of the columns of a block.

    Example:
        >>> kinds_text([Discrete(10)], single=True)
        'Discrete(10)'
        >>> kinds_text([Continuous(5)] * 8 + [Discrete(3)], single=False)
        '8 x Continuous(5) + 1 x Discrete(3)'
    """
    runs = [(kind, len(list(run))) for kind, run in groupby(kinds)]
    texts = [f"{type(kind).__name__}({states_of(kind)})" for kind, _ in runs]
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
