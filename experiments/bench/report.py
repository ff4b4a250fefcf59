"""What the benchmark found, as text and as a picture."""

import os
import platform

import torch
from matplotlib.figure import Figure

from experiments.figures import save
from experiments.runs import write_text

NAMES = ("D", "N", "m", "batch")  # of the numbers that a size has
ALLOCATOR = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def device(config):
    """Where it ran, in words that do not name the machine."""
    if torch.device(config.device).type == "cuda":
        return torch.cuda.get_device_name(config.device)
    capability = torch.backends.cpu.get_cpu_capability()
    allocator = [f"{name}={os.environ[name]}" for name in ALLOCATOR if name in os.environ]
    where = f"{config.threads} CPU thread(s), {platform.machine()}, {capability}"
    return f"{where}, {' '.join(allocator) or 'the allocator as it comes'}"


def block(one):
    """The lines of one size."""
    lines = [
        "",
        f"## {one['boundary']}, D = {one['D']}, N = {one['N']}, m = {one['m']}, batch {one['batch']}",
        "",
        "| query | ours, ms | plain, ms | plain / ours | ours / bare products | reference / ours |",
        "|---|---|---|---|---|---|",
    ]
    for query, row in one["queries"].items():
        seconds = row["seconds"]
        cells = [
            query,
            f"{1000 * seconds['ours']:.1f}",
            f"{1000 * seconds['plain']:.1f}",
            f"{row['speedup']:.1f}",
            "" if row["over_floor"] is None else f"{row['over_floor']:.1f}",
            "" if row["speedup_over_reference"] is None else f"{row['speedup_over_reference']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [
        *lines,
        "",
        f"Peak memory of forward + backward: {one['memory']:.2f} tensors (D, batch, m, m). float32 against float64: "
        f"{one['float32_error']:.1e} of max(1, |log_prob|).",
    ]


def markdown(found):
    """The whole page."""
    lines = [
        "# Speed of the tensor ring",
        "",
        f"Measured on {found['device']}, float32, validation off, all contenders taking turns, medians. Plain: "
        "the textbook's contraction, one variable at a time, with autograd. Bare products: our own matrix products, "
        "alone.",
    ]
    for one in found["sizes"]:
        lines += block(one)
    if found["scaling"]:
        lines += ["", *_scaling(found["scaling"])]
    small = found["enumeration"]
    lines += [
        "",
        f"Pyro's enumeration of the same train at D = {small['D']}, N = {small['N']}, m = {small['m']}, batch "
        f"{small['batch']}, forward: {1000 * small['seconds']['enumeration']:.1f} ms against "
        f"{1000 * small['seconds']['ours']:.1f} ms, {small['speedup']:.0f} times as long; the sums of log_prob differ "
        f"by {small['difference']:.1e}.",
        "",
    ]
    return "\n".join(lines)


def _scaling(scaling):
    base = ", ".join(f"{name} = {n}" for name, n in zip(NAMES, scaling[0]["base"], strict=True))
    yield f"Forward + backward in ms while one of them doubles, from {base}; slope of a line through all, log on log:"
    yield ""
    yield "| boundary | what doubles | x 1 | x 2 | x 4 | x 8 | slope |"
    yield "|---|---|---|---|---|---|---|"
    for one in scaling:
        for name, seconds in one["seconds"].items():
            times = " | ".join(f"{1000 * value:.1f}" for value in seconds.values())
            yield f"| {one['boundary']} | {name} | {times} | {one['slopes'][name]:.2f} |"


def write(path, found):
    """`path`.md and, where scaling was measured, `path`.png."""
    text = markdown(found)
    write_text(path.with_suffix(".md"), text)
    if not found["scaling"]:
        return
    figure = Figure(figsize=(5 * len(found["scaling"]), 4), layout="constrained")
    axes = figure.subplots(1, len(found["scaling"]), sharey=True, squeeze=False)[0]
    for axis, one in zip(axes, found["scaling"], strict=True):
        for name, seconds in one["seconds"].items():
            first = next(iter(seconds))
            times = [1000 * value for value in seconds.values()]
            axis.loglog([n / first for n in seconds], times, "o-", label=f"{name}: slope {one['slopes'][name]:.2f}")
        multiples = range(len(times))
        axis.set(title=one["boundary"], xlabel="times the base size")
        axis.set_xticks([2**n for n in multiples], [str(2**n) for n in multiples], minor=False)
        axis.set_xticks([], minor=True)
        axis.legend()
    axes[0].set_ylabel("forward + backward, ms")
    save(figure, path.with_suffix(".png"))
