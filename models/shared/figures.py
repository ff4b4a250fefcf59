"""Figures of trained models, as PNG files: samples, reconstructions, the prior; what all figures share."""

import math
import textwrap
from pathlib import Path

import torch
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure  # not pyplot: no global state, no window

from pyro_priors.training import replace_file


@torch.no_grad()
def draw(folder, models, test, count=100):
    """Write samples.png, reconstructions.png and prior.png (two latent dimensions or more).

    Args:
        folder: where to.
        models: `{name: VAE}`, all of the same data; one panel or row each.
        test: test `Images`.
        count: samples per model.
    """
    some = test.first(2000)
    if some[0].numel() <= 2:  # points of a toy data set
        drawn = {name: model.generate(len(some), drawn=True) for name, model in models.items()}
        points(Path(folder) / "samples.png", some, drawn)
    else:
        samples(Path(folder) / "samples.png", {name: model.generate(count) for name, model in models.items()})
        rows = {name: model.reconstruct(some[:10]) for name, model in models.items()}
        reconstructions(Path(folder) / "reconstructions.png", some[:10], rows)
    if all(model.encoder.latent_dim >= 2 for model in models.values()):
        panels = {name: (m.prior, m.prior_law(), m.encode(some).sample()) for name, m in models.items()}
        prior_density(Path(folder) / "prior.png", panels)


@torch.no_grad()
def draw_gan(folder, prior, model, test, count=100):
    """Write samples.png and prior.png of a GAN; `prior` is what its prior is called."""
    some = test.first(2000)
    if some[0].numel() <= 2:
        points(Path(folder) / "samples.png", some, {prior: model.generate(len(some))})
    else:
        samples(Path(folder) / "samples.png", {prior: model.generate(count)})
    law = model.prior_law()
    if hasattr(model, "attributes"):
        law = law.marginal("z")
    if law.event_shape[0] >= 2:
        prior_density(Path(folder) / "prior.png", {prior: (model.prior, law, law.sample((2000,)))})


def samples(path, images):
    """One grid of images `(n, C, H, W)` per entry of `images`."""
    figure, axes = _panels(images)
    for axis, drawn in zip(axes, images.values(), strict=True):
        show(axis, tile(drawn, columns=math.ceil(math.sqrt(len(drawn)))))
    save(figure, path)


def points(path, data, drawn):
    """Data and samples of one or two numbers each: histograms or dots, one panel per entry of `drawn`."""
    figure, axes = _panels(drawn)
    for axis, sample in zip(axes, drawn.values(), strict=True):
        for values, label in ((data, "data"), (sample, "samples")):
            columns = values.detach().cpu().flatten(1).T
            if len(columns) == 1:
                axis.hist(columns[0].numpy(), bins=80, density=True, alpha=0.6, label=label)
            else:
                axis.scatter(*columns.numpy(), s=3, alpha=0.5, linewidths=0, label=label)
        axis.legend()
    save(figure, path)


def reconstructions(path, originals, rows):
    """The originals on top, below them one row of reconstructions per model."""
    rows = {"data": originals, **rows}
    figure = Figure(figsize=(0.7 * len(originals), 0.75 * len(rows)), layout="constrained")
    for axis, (name, images) in zip(figure.subplots(len(rows)), rows.items(), strict=True):
        show(axis, tile(images, columns=len(images)))
        axis.set_ylabel(plain(name), rotation=0, ha="right", va="center")
    save(figure, path)


@torch.no_grad()
def prior_density(path, panels, resolution=200):
    """Density of the first two latent dimensions under each prior, as TRIP Figure 4, with encoded data as dots.

    Args:
        path: PNG to write.
        panels: `{name: (prior module, its law of latents, encoded data (n, d))}`.
        resolution: points a side of the grid.
    """
    figure, axes = _panels(panels)
    for axis, (prior, law, z) in zip(axes, panels.values(), strict=True):
        z = z[:, :2].cpu()
        around = torch.cat([z, law.sample((1000,))[:, :2].cpu()])
        low, high = around.quantile(torch.tensor([0.005, 0.995]), dim=0)
        margin = 0.15 * (high - low)
        sides = [torch.linspace(a, b, resolution) for a, b in zip(low - margin, high + margin, strict=True)]
        density = _plane_density(prior.plane(law), law, sides)
        extent = [side[end].item() for side in sides for end in (0, -1)]
        # The square root shows weak components beside a sharp peak.
        axis.imshow(density.numpy(), origin="lower", extent=extent, aspect="auto", cmap="viridis", norm=PowerNorm(0.5))
        axis.scatter(*z.T.numpy(), s=3, color="white", alpha=0.35, linewidths=0)
        axis.set(xlim=extent[:2], ylim=extent[2:], xlabel="$z_1$", ylabel="$z_2$")
    save(figure, path)


def _plane_density(plane, law, sides):
    """Density of the first two latents on a grid; a histogram of draws where their law has no closed form."""
    if plane is None:
        drawn = law.sample((200_000,))[:, :2].cpu()
        return torch.histogramdd(drawn, [side[::4].contiguous() for side in sides], density=True).hist.T
    grid = torch.stack(torch.meshgrid(*sides, indexing="xy"), -1)
    return plane.log_prob(grid.to(plane.sample().device)).exp().cpu()


def tile(images, columns):
    """Images `(n, C, H, W)` -> one of `(rows * (H + 1) + 1, columns * (W + 1) + 1, C)`, white lines between.

    Example:
        >>> tile(torch.zeros(5, 1, 8, 8), columns=3).shape
        torch.Size([19, 28, 1])
    """
    count, channels, height, width = images.shape
    rows = math.ceil(count / columns)
    padded = torch.ones(rows * columns, channels, height + 1, width + 1)
    padded[:count, :, 1:, 1:] = images.detach().float().cpu().clamp(0, 1)
    grid = padded.view(rows, columns, channels, height + 1, width + 1).permute(0, 3, 1, 4, 2)
    grid = grid.reshape(rows * (height + 1), columns * (width + 1), channels)
    frame = torch.ones(grid.shape[0] + 1, grid.shape[1] + 1, channels)
    frame[:-1, :-1] = grid
    return frame


def plain(text, most=None):
    """A user's text as matplotlib draws it to the letter, cut where it is longer than `most`.

    Example:
        >>> plain("1 $ or 2 $"), plain("_hidden"), plain("a_very_long_name", 8)
        ('1 \\\\$ or 2 \\\\$', ' _hidden', 'a_very_…')
    """
    text = text if most is None or len(text) <= most else f"{text[: most - 1]}…"
    text = text.replace("$", r"\$")  # no formula
    return f" {text}" if text.startswith("_") else text  # matplotlib leaves out labels that start with one


def wrap(text, width):
    """`plain` in lines of so many letters, broken between words."""
    return textwrap.fill(plain(text), width, break_long_words=False, break_on_hyphens=False)


def _panels(named):
    figure = Figure(figsize=(4.2 * len(named), 4.2), layout="constrained")
    axes = figure.subplots(1, len(named), squeeze=False)[0]
    for axis, name in zip(axes, named, strict=True):
        axis.set_title(wrap(name, 40))
    return figure, axes


def show(axis, image):
    """An image `(H, W, C)` with values in [0, 1], without ticks and frame."""
    axis.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def save(figure, path):
    """Write a figure as PNG, all of it or nothing."""
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120, bbox_inches="tight"))
