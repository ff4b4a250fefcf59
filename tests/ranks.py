"""Processes that train together on the CPU, over gloo, and return what each of them found."""

import contextlib
import multiprocessing
import os
import socket
import sys
import tempfile
import time
import traceback
from pathlib import Path

import pytest
import torch

PRELOADED = ["lightning_fabric", "sklearn.mixture", "tqdm", "pyro_priors.training", "pyro_priors.programs"]


def in_processes(count, function, *arguments, limit=120, **named):
    """Call a function of a module as each of `count` ranks -> list of what they return.

    Where `training.fit` is called with `devices=count`, it finds the others. A server that has imported what is slow
    to import makes the processes; an error in one ends all.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        files = [Path(folder) / str(rank) for rank in range(count)]
        free.close()
        processes = [
            context.Process(target=_rank, args=({**where, "LOCAL_RANK": str(rank)}, file, function, arguments, named))
            for rank, file in enumerate(files)
        ]
        for process in processes:
            process.start()
        _wait(processes, time.monotonic() + limit)
        answers = [
            torch.load(file, weights_only=False) if file.exists() else f"ended with status {process.exitcode}"
            for file, process in zip(files, processes, strict=True)
        ]
    errors = [f"rank {rank}: {answer}" for rank, answer in enumerate(answers) if isinstance(answer, str)]
    assert not errors, "\n".join(errors)
    return [answer for (answer,) in answers]


@contextlib.contextmanager
def noise_of_images(encoder, latents):
    """Every draw from a Gaussian is a function of the images that `encoder` took last, `(*, batch, latents)`."""
    seen = []
    hook = encoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))

    def noise(shape, dtype, device):
        draws = torch.special.ndtri(0.02 + 0.96 * seen[-1].flatten(1)[:, :latents])
        return draws.to(dtype).expand(shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.distributions.normal, "_standard_normal", noise)
        yield
    hook.remove()


def _wait(processes, until):
    """For all of them, or until one fails or it takes too long: the others would wait for it for ever."""
    while any(process.is_alive() for process in processes):
        if time.monotonic() > until or any(process.exitcode for process in processes):
            time.sleep(0.5)  # another may be about to tell why
            for process in processes:
                process.kill()
        time.sleep(0.01)
    for process in processes:
        process.join()


def _rank(where, file, function, arguments, named):
    os.environ.update(where)
    torch.set_num_threads(1)
    try:
        answer = (function(*arguments, **named),)
    except BaseException:
        answer = traceback.format_exc()
    temporary = file.with_suffix(".part")
    torch.save(answer, temporary)
    temporary.rename(file)
    if torch.distributed.is_initialized() and not isinstance(answer, str):
        torch.distributed.destroy_process_group()
    sys.exit(isinstance(answer, str))
