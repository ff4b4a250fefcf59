"""Times of functions that take turns, and the memory they need."""

import statistics
import time
from typing import NamedTuple

import torch

from pyro_priors.checks import UserError


class Timed(NamedTuple):
    """Median seconds of each function, and the median ratio of each other one over the first in the same turn."""

    seconds: dict[str, float]
    ratios: dict[str, float]


def interleaved(functions, turns, device="cpu", clock=time.perf_counter):
    """Call every function once a turn, so that what disturbs one disturbs all; one turn more comes first, unmeasured.

    Args:
        functions: `{name: function without arguments}`; the first one is what the others are compared with.
        turns: how many.
        device: where they run.
        clock: what is read before and after; `time.process_time` does not count what other processes take meanwhile.
    """
    times = {name: [] for name in functions}
    for _ in range(turns + 1):
        for name, function in functions.items():
            synchronize(device)
            began = clock()
            function()
            synchronize(device)
            times[name].append(clock() - began)
    first, *others = functions
    turn = {name: all_times[1:] for name, all_times in times.items()}
    return Timed(
        {name: statistics.median(values) for name, values in turn.items()},
        {name: statistics.median(b / a for a, b in zip(turn[first], turn[name], strict=True)) for name in others},
    )


def check_device(device):
    """`UserError` where the device is not there."""
    try:
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:
        raise UserError(f"device: expected one that is there, got {device} ({str(error).splitlines()[0]})") from error


def synchronize(device):
    """Wait for everything that was started on the device."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(function, device="cpu"):
    """Most bytes of tensors alive at a time during a call, beyond those before it."""
    function()
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        function()
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        function()
    alive = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    return peak
