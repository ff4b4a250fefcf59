"""Figures about attributes, as PNG files: codes by label, grids by subset, dependence, calibration, coverage."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from models.shared.figures import plain, save, show, tile, wrap
from pyro_priors import metrics


@torch.no_grad()
def draw(folder, model, test, attributes, probs, count=10):
    """Write what a model has to show of its discrete attributes; what there is nothing to show of is left out.

    reliability.png and coverage.png, of the attributes that are known of any test image; of a model that draws
    images also latent.png (the first 2,000 test images, coloured by the first attribute that is known of any of
    them; two images and two latent dimensions or more) and attributes.png (a row for every category of an only
    attribute, for the last category of each of several); of several attributes dependence.png.

    Args:
        folder: where to.
        model: what `probs` are of.
        test: test `Images` with labels.
        attributes: of the model, `pyro_priors.data.attributes.Attribute` each.
        probs: what the model answers of every test image if wanted as if all labels were hidden, `{discrete attribute:
            probabilities (n, categories)}`.
        count: images a row.
    """
    folder = Path(folder)
    texts = {a.name: a.categories for a in attributes if a.categories}
    truth = {a.name: test.labels[:, column] for column, a in enumerate(attributes) if a.categories}
    if not texts:
        return
    known = {name: (probs[name], labels) for name, labels in truth.items() if not labels.isnan().all()}
    if known:
        reliability(folder / "reliability.png", {name: metrics.calibration(*both) for name, both in known.items()})
        coverage(folder / "coverage.png", {name: metrics.accuracy_coverage(*both) for name, both in known.items()})
    if not hasattr(model, "generate"):
        return
    some = test.first(2000)
    seen = [name for name, labels in truth.items() if not labels[: len(some)].isnan().all()]
    if seen and len(some) >= 2 and model.prior.latent_dim >= 2:
        colours = truth[seen[0]][: len(some)]
        latent_space(folder / "latent.png", model.encode(some).sample(), colours, texts[seen[0]])
    first = next(iter(texts))
    if len(texts) == 1:
        wanted = [(first, state) for state in range(len(texts[first]))]
    else:
        wanted = [(name, len(categories) - 1) for name, categories in texts.items()]
    rows = {
        f"{name}={texts[name][state]}": model.generate(count, **{name: float(state)}) for name, state in wanted[:20]
    }
    attribute_grid(folder / "attributes.png", rows)
    if len(texts) > 1:
        law = getattr(model, "attribute_prior", model.prior)()
        matrix(folder / "dependence.png", *metrics.mutual_information(law))


@torch.no_grad()
def latent_space(path, z, labels, names):
    """Codes coloured by a label, as TTLP Figure 2: the two directions in which they vary most.

    Args:
        path: PNG to write.
        z: codes `(n, d)`, n >= 2 and d >= 2.
        labels: state of each `(n,)`, NaN = unknown (drawn in grey).
        names: text of every state.
    """
    if z.dim() != 2 or min(z.shape) < 2 or labels.shape != z.shape[:1]:
        raise ValueError(
            f"z: expected two codes (n, d) or more of two dimensions or more and n labels, got {tuple(z.shape)} and "
            f"{tuple(labels.shape)}"
        )
    plane, shares = principal_plane(z)
    size = min(16, max(4, 8000 / len(z)))
    labels = labels.detach().cpu()
    unknown, colours = labels.isnan(), np.array(palette(len(names)))
    entries = list(zip(names, colours, strict=True)) + ([("unknown", "0.82")] if unknown.any() else [])
    columns, widest = -(-len(entries) // 20), min(24, max(len(name) for name, _ in entries))
    figure = Figure(figsize=(5.3 + columns * (0.5 + 0.09 * widest), 4.8), layout="constrained")
    axis = figure.subplots()
    axis.scatter(*plane[unknown].T.numpy(), s=size, color="0.82", linewidths=0)
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(0))  # no state hides the others
    order = order[~unknown[order]]
    axis.scatter(*plane[order].T.numpy(), s=size, c=colours[labels[order].long().numpy()], alpha=0.7, linewidths=0)
    marks = [axis.scatter([], [], s=30, color=[colour], label=plain(name, 24)) for name, colour in entries]
    figure.legend(handles=marks, loc="outside right upper", ncols=columns, frameon=False)
    for set_label, number, share in zip((axis.set_xlabel, axis.set_ylabel), (1, 2), shares, strict=True):
        set_label(f"principal component {number} of z ({share:.0%} of variance)")
    save(figure, path)


def principal_plane(z):
    """Codes `(n, d)` in their first two principal components `(n, 2)`, and the share of the variance of each.

    Example:
        >>> plane, shares = principal_plane(torch.tensor([[0.0, 0.0, 1.0], [0.0, 4.0, 1.0], [1.0, 2.0, 1.0]]))
        >>> plane.shape, [round(share, 2) for share in shares]
        (torch.Size([3, 2]), [0.92, 0.08])
    """
    centred = z.detach().double().cpu()
    centred = centred - centred.mean(0)
    _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    # An SVD leaves the signs open.
    directions = directions * directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    variances = sizes.square()
    return (centred @ directions.T).float(), (variances[:2] / variances.sum().clamp(min=1e-300)).tolist()


def attribute_grid(path, rows):
    """One row of images per subset of attributes, its title at the left, as TTLP Table 3.

    Args:
        path: PNG to write.
        rows: `{title: images (n, C, H, W)}`.
    """
    longest = max(len(images) for images in rows.values())
    titles = [wrap(title, 22) for title in rows]
    figure = Figure(figsize=(0.75 * longest + 1.8, 0.8 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), squeeze=False)[:, 0]
    for axis, title, images in zip(axes, titles, rows.values(), strict=True):
        show(axis, tile(images, columns=longest))
        axis.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=10)
    save(figure, path)


def matrix(path, names, values):
    """Mutual information between attributes in nats, the diagonal left blank.

    Args:
        path: PNG to write.
        names: of the attributes.
        values: `(A, A)`; the diagonal, their entropies, is not shown.
    """
    shown = values.detach().double().cpu().clone().fill_diagonal_(torch.nan)
    count = len(names)
    side = max(2.8, 0.55 * count) if count <= 16 else 0.24 * count
    figure = Figure(figsize=(side + 2.2, side + 1.2), layout="constrained")
    axis = figure.subplots()
    highest = max(shown.nan_to_num().max().item(), 1e-12) if count else 1.0
    image = axis.imshow(shown.numpy(), cmap="viridis", vmin=0, vmax=highest)
    labels = [plain(name, 24) for name in names]
    axis.set_xticks(range(count), labels, rotation=90 if count > 16 else 45, ha="center" if count > 16 else "right")
    axis.set_yticks(range(count), labels)
    if count > 16:
        axis.tick_params(labelsize=7)
    else:
        for row, column in (~shown.isnan()).nonzero().tolist():
            value = shown[row, column].item()
            colour = "black" if value > 0.6 * highest else "white"
            axis.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=8, color=colour)
    figure.colorbar(image, ax=axis, label="mutual information under the prior (nats)", shrink=0.8)
    save(figure, path)


def reliability(path, calibrations):
    """Accuracy against confidence by bins, with the number of entries in each below.

    Args:
        path: PNG to write.
        calibrations: `{title: Calibration}`, as `metrics.calibration` gives them.
    """
    figure = Figure(figsize=(7.6 if len(calibrations) > 1 else 5.6, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfectly calibrated")
    for (title, curve), colour in zip(calibrations.items(), palette(len(calibrations)), strict=True):
        confidence, accuracy, count = (part.detach().double().cpu() for part in curve[:3])
        filled = count > 0
        label = f"{plain(title, 30)}: ECE {curve.ece:.4f}"
        upper.plot(confidence[filled], accuracy[filled], marker="o", markersize=4, color=colour, label=label)
        edges = np.linspace(0, 1, len(count) + 1)
        if filled.any():  # a logarithmic axis warns where there is nothing else
            lower.stairs(count.numpy(), edges, color=colour, fill=len(calibrations) == 1, linewidth=1.3)
        if len(calibrations) == 1:
            for left, number in zip(edges, count.long().tolist(), strict=False):
                middle = left + 0.5 / len(count)
                lower.annotate(f"{number}", (middle, max(number, 0.7)), (0, 2), textcoords="offset points",
                               ha="center", fontsize=7)  # fmt: skip
    most = max((part.count.max().item() for part in calibrations.values()), default=1)
    lower.set(yscale="log", ylim=(0.7, max(most, 1) * 6), xlabel="confidence", ylabel="entries", xlim=(0, 1))
    upper.set(ylim=(-0.03, 1.03), ylabel="accuracy")
    lower.grid(axis="y", alpha=0.3)
    if len(calibrations) > 1:
        figure.legend(loc="outside right upper", frameon=False)
    else:
        upper.legend(loc="upper left", frameon=False)
    save(figure, path)


def coverage(path, curves):
    """Accuracy of the most confident entries against the share of entries that they are.

    Args:
        path: PNG to write.
        curves: `{title: Coverage}`, as `metrics.accuracy_coverage` gives them.
    """
    figure = Figure(figsize=(7.6 if len(curves) > 1 else 5.4, 3.8), layout="constrained")
    axis = figure.subplots()
    lowest = 1.0
    for (title, curve), colour in zip(curves.items(), palette(len(curves)), strict=True):
        share, accuracy = (part.detach().double().cpu() for part in curve[:2])
        of_all = f"{accuracy[-1].item():.2%} of all" if len(accuracy) else "no entry"
        axis.plot(share, accuracy, color=colour, linewidth=1.5, label=f"{plain(title, 30)}: {of_all}")
        beyond = accuracy[share >= 0.05]  # a first mistake is no reason to shrink the rest
        lowest = min([lowest, *beyond.tolist()])
    axis.set(xlim=(0, 1), ylim=(lowest - 0.08 * (1.001 - lowest), 1 + 0.08 * (1.001 - lowest)))
    axis.set(xlabel="coverage (share of entries filled, most confident first)", ylabel="accuracy")
    axis.grid(alpha=0.3)
    if len(curves) > 1:
        figure.legend(loc="outside right upper", frameon=False)
    else:
        axis.legend(loc="best", frameon=False)
    save(figure, path)


def palette(count):
    """So many colours that differ.

    Example:
        >>> len(palette(3)), len(palette(15)), len(palette(40))
        (3, 15, 40)
    """
    if count <= 10:
        colours = matplotlib.colormaps["tab10"].colors
        return (*colours[:7], (0.0, 0.0, 0.0), *colours[8:])[:count]  # grey is for what is unknown
    return matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, count))


def imputed(path, images, probs, truth, names):
    """Images under their most probable category and its probability; in red where the truth is another.

    Args:
        path: PNG to write.
        images: `(n, C, H, W)`
        probs: class probabilities, `(n, categories)`.
        truth: states, `(n,)`.
        names: text of every state.
    """
    columns = min(10, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(0.85 * columns, 1.05 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, row, state in zip(axes, images, probs, truth.long().tolist(), strict=False):
        likely = int(row.argmax())
        axis.imshow(image.movedim(0, -1).clamp(0, 1).cpu().numpy(), cmap="gray", vmin=0, vmax=1)
        title = f"{plain(names[likely], 10)} {row[likely].item():.0%}"
        axis.set_title(title if likely == state else f"{title}\nnot {plain(names[state], 10)}", fontsize=8,
                       color="black" if likely == state else "tab:red")  # fmt: skip
    save(figure, path)
