"""A picture of how columns of data hang together, in the order of a chain that was laid from it."""

from typing import TYPE_CHECKING

import numpy as np

from pyro_priors.modules.dependence import Dependence, neighbour_information

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = 60  # variables whose names have room; of more, some are named
LETTERS = 24  # of a name


def dependence_figure(dependence: Dependence) -> "Figure":
    """The information between each two variables along the chain, and below it that between neighbours.

    Colours go with the square root, so that weak pairs show beside strong ones. What matters stands along the diagonal;
    colour far from it is dependence that the bonds have to carry past the variables between.

    Args:
        dependence: as `pyro_priors.modules.dependence.measure_dependence` gives it.

    Returns:
        a figure of matplotlib (extra ``train``): ``.savefig("dependence.png")`` writes it

    Example:
        >>> import torch
        >>> from pyro_priors.modules.dependence import Dependence
        >>> information = torch.tensor([[0.0, 0.5], [0.5, 0.0]])
        >>> dependence_figure(Dependence(("a", "b"), information, (0, 1))).axes[0].get_yticklabels()
        [Text(0, 0, 'a'), Text(0, 1, 'b')]
    """
    from matplotlib.colors import PowerNorm  # here, since matplotlib is slow to import
    from matplotlib.figure import Figure

    order, count = list(dependence.order), len(dependence.order)
    shown = dependence.information.numpy()[np.ix_(order, order)].copy()
    highest = float(shown.max(initial=0.0)) or 1.0
    np.fill_diagonal(shown, np.nan)
    side = min(max(3.2, 0.24 * count), 0.17 * NAMES)
    figure = Figure(figsize=(side + 2.4, side + 2.6), layout="constrained")
    upper, lower = figure.subplots(2, height_ratios=(side, 1.1), sharex=True)
    image = upper.imshow(shown, cmap="viridis", norm=PowerNorm(0.5, 0, highest), aspect="auto", interpolation="nearest")
    upper.set_facecolor("0.85")  # the diagonal
    named = range(0, count, -(-count // NAMES))
    labels = [_short(dependence.names[order[position]]) for position in named]
    size = 7 if count > 16 else 9
    upper.set_yticks(named, labels, fontsize=size, parse_math=False)
    lower.set_xticks(named, labels, fontsize=size, rotation=90, parse_math=False)
    upper.tick_params(axis="x", bottom=False)
    figure.colorbar(image, ax=upper, label="mutual information (nats)")
    chain = neighbour_information(dependence.information, order).numpy()
    declared = float(neighbour_information(dependence.information, range(count)).sum())
    figure.suptitle(
        f"Neighbours on the chain: {chain.sum():.2f} nats summed, {declared:.2f} in declared order", fontsize=9
    )
    lower.bar(np.arange(count - 1) + 0.5, chain, width=0.8, color="tab:blue")
    lower.set(ylabel="to the next\n(nats)", ylim=(0, 1.05 * highest))
    lower.grid(axis="y", alpha=0.3)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
