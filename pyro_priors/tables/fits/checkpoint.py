"""What a fit that was interrupted goes on from: a file of tensors and JSON in a folder, rewritten from time to time."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from pyro_priors.checks import UserError
from pyro_priors.tables import processes
from pyro_priors.tables.laws.law import TableLaw

EVERY = 30.0  # seconds between two writes
SHARE = 0.02  # of the time goes into writing, at most


class Checkpoint:
    """The state of an ensemble's fits in a folder; without one nothing is written. See `opened`.

    Args:
        folder: or None.
        made_of: what the fits are of, by name.
        saved: what `opened` has read.

    Attributes:
        made_of: that of the fits that were interrupted, if there were some.
        finished: states of the members that are.
        under_way: state of the one after them, None: it has not begun.
        step: how often a state has been offered, once a step.
    """

    def __init__(self, folder: Path | None = None, made_of: Mapping[str, Any] | None = None, saved: Any = None):
        self.folder = folder
        saved = saved or {"made_of": made_of, "finished": [], "under_way": None, "step": 0}
        self.made_of: Mapping[str, Any] = saved["made_of"]
        self.finished: list[Any] = saved["finished"]
        self.under_way: Any = saved["under_way"]
        self.step: int = saved["step"]
        self._next = time.monotonic() + EVERY

    def offer(self, state: Callable[[], Any]) -> None:
        """Write the state of the fit under way, if it is time."""
        self.step += 1
        if self.folder is not None and processes.rank() == 0 and time.monotonic() >= self._next:
            self._write(state())

    def finish(self, state: Any) -> None:
        """A member has been fitted."""
        self.finished.append(state)
        self.under_way = None
        if self.folder is not None and processes.rank() == 0:
            self._write(None)

    def _write(self, under_way: Any) -> None:
        from pyro_priors.training.checkpoints import save_checkpoint  # here, since not all fits need safetensors

        assert self.folder is not None
        began = time.monotonic()
        state = {"made_of": dict(self.made_of), "finished": self.finished, "under_way": under_way, "step": self.step}
        save_checkpoint(state, self.folder)
        now = time.monotonic()
        self._next = now + max(EVERY, (now - began) / SHARE)


@contextmanager
def opened(
    folder: str | os.PathLike | None, made_of: Mapping[str, Any], free: Sequence[str] = ()
) -> Iterator[Checkpoint]:
    """A checkpoint that belongs to this thread, and is removed when all within has been done.

    Args:
        folder: which is made; None: nothing is written.
        made_of: what must be as it was; names in `free` are taken from what was.

    Raises:
        UserError: the folder has the checkpoint of other rows or settings, a damaged one, or another fit writes to it.

    Warns:
        UserWarning: the last checkpoint is damaged, and the one before it is used.
    """
    if folder is None:
        yield Checkpoint(None, made_of)
        return
    from pyro_priors.training import locks
    from pyro_priors.training.checkpoints import CHECKPOINT, remove_checkpoints
    from pyro_priors.training.files import remove_unfinished

    folder, saved, first = Path(folder), None, processes.rank() == 0
    with ExitStack() as stack:
        with processes.together():
            if first:
                stack.enter_context(locks.held(folder))
                remove_unfinished(folder, CHECKPOINT)  # others may write here too
                saved = _read(folder, made_of, free)
        yield Checkpoint(folder, made_of, processes.of_first(saved))
        if first:
            remove_checkpoints(folder)
    if first:
        with suppress(OSError):  # something else lies there
            folder.rmdir()


def _read(folder: Path, made_of: Mapping[str, Any], free: Sequence[str]) -> Any:
    from pyro_priors.training.checkpoints import CheckpointError, differences, load_checkpoint

    try:
        saved = load_checkpoint(folder)
    except CheckpointError as error:
        raise UserError(f"checkpoint: {error}; remove {folder} to begin anew") from error
    if saved is None:
        return None
    expected = {name: value for name, value in saved["made_of"].items() if name not in free}
    got = {name: value for name, value in made_of.items() if name not in free}
    if expected != got:
        raise UserError(
            f"checkpoint: {folder} is that of another fit ({differences(expected, got)}); remove it to begin anew"
        )
    return saved


def digest(*parts: str | np.ndarray) -> str:
    """A few letters that differ where texts or arrays do."""
    whole = hashlib.sha256()
    for part in parts:
        array = np.frombuffer(part.encode(), np.uint8) if isinstance(part, str) else np.ascontiguousarray(part)
        whole.update(f"{array.dtype} {array.shape}".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()[:16]


def law_state(law: TableLaw) -> dict[str, Any]:
    """A law as dicts of numbers and tensors."""
    return {"made": law.to_json(), "weights": law.state_dict()}


def law_of(state: Mapping[str, Any]) -> TableLaw:
    """The law of such a state."""
    law = TableLaw.from_json(state["made"])
    law.load_state_dict(state["weights"], assign=True)
    return law.requires_grad_(False)
