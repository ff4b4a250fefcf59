"""What benchmarks measured, as text and as a figure."""

import os
import platform

import torch
import tyro
from matplotlib.figure import Figure

from experiments import pages
from experiments.answers import sentence
from experiments.heads import headed
from models.shared.figures import save

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


def settings(values, kind):
    """Of a benchmark, by its results; those from before they stood there, by their command."""
    return values.get("config") or vars(tyro.cli(kind, args=values["provenance"]["command"][5:]))


def answer(values):
    """Least and largest ratio over all sizes, of a step and of draws."""
    said = []
    for query in ("forward + backward", "sample"):
        ratios = [size["queries"][query]["speedup"] for size in values["sizes"] if query in size["queries"]]
        if ratios:
            said.append(f"of `{query}` {min(ratios):.1f} to {max(ratios):.1f} times as long")
    return sentence(f"the textbook's loop takes {', '.join(said)}" if said else "")


@headed(
    "How fast are the contractions of the tensor ring beside the textbook's loop?",
    answer,
    "Another processor, allocator or number of threads; smaller sizes.",
)
def page(values, name):
    """The page of `bench tensor-ring`."""
    parts = [
        "# Speed of the tensor ring",
        f"Measured on {values['device']}, float32, validation off, all contenders taking turns, medians. Plain: "
        "the textbook's contraction, one variable at a time, with autograd. Bare products: our own matrix products, "
        "alone.",
    ]
    columns = {
        "query": lambda item: item[0],
        "ours, ms": lambda item: f"{1000 * item[1]['seconds']['ours']:.1f}",
        "plain, ms": lambda item: f"{1000 * item[1]['seconds']['plain']:.1f}",
        "plain / ours": lambda item: f"{item[1]['speedup']:.1f}",
        "ours / bare products": lambda item: _ratio(item[1]["over_floor"]),
        "reference / ours": lambda item: _ratio(item[1]["speedup_over_reference"]),
    }
    for size in values["sizes"]:
        parts += [
            f"## {size['boundary']}, D = {size['D']}, N = {size['N']}, m = {size['m']}, batch {size['batch']}",
            pages.table(columns, size["queries"].items()),
            f"Peak memory of forward + backward: {size['memory']:.2f} tensors (D, batch, m, m). float32 against "
            f"float64: {size['float32_error']:.1e} of max(1, |log_prob|).",
        ]
    if values["scaling"]:
        base = ", ".join(f"{name} = {n}" for name, n in zip(NAMES, values["scaling"][0]["base"], strict=True))
        doubled = [(of, name, seconds) for of in values["scaling"] for name, seconds in of["seconds"].items()]
        columns = {
            ("boundary", "what doubles"): lambda row: (row[0]["boundary"], row[1]),
            ("x 1", "x 2", "x 4", "x 8"): lambda row: [f"{1000 * seconds:.1f}" for seconds in row[2].values()],
            "slope": lambda row: f"{row[0]['slopes'][row[1]]:.2f}",
        }
        parts += [
            f"Forward + backward in ms while one of them doubles, from {base}; slope of a line through all, log on "
            "log:",
            pages.table(columns, doubled),
        ]
    small = values["enumeration"]
    parts.append(
        f"Pyro's enumeration of the same train at D = {small['D']}, N = {small['N']}, m = {small['m']}, batch "
        f"{small['batch']}, forward: {1000 * small['seconds']['enumeration']:.1f} ms against "
        f"{1000 * small['seconds']['ours']:.1f} ms, {small['speedup']:.0f} times as long; the sums of log_prob differ "
        f"by {small['difference']:.1e}."
    )
    return parts


def _ratio(value):
    return "" if value is None else f"{value:.1f}"


def draw_results(path, values):
    """Scaling, a panel for each boundary."""
    figure = Figure(figsize=(5 * len(values["scaling"]), 4), layout="constrained")
    axes = figure.subplots(1, len(values["scaling"]), sharey=True, squeeze=False)[0]
    for axis, scaling in zip(axes, values["scaling"], strict=True):
        for name, seconds in scaling["seconds"].items():
            sizes, times = [int(n) for n in seconds], [1000 * value for value in seconds.values()]
            label = f"{name}: slope {scaling['slopes'][name]:.2f}"
            axis.loglog([n / sizes[0] for n in sizes], times, "o-", label=label)
        multiples = range(len(times))
        axis.set(title=scaling["boundary"], xlabel="times the base size")
        axis.set_xticks([2**n for n in multiples], [str(2**n) for n in multiples], minor=False)
        axis.set_xticks([], minor=True)
        axis.legend()
    axes[0].set_ylabel("forward + backward, ms")
    save(figure, path)
