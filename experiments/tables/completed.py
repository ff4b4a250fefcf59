"""Making everything that is missing of a table: what fails is named, and the others go on."""

import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from tqdm import tqdm

from experiments import launch
from experiments.tables import results
from pyro_priors.checks import UserError


class Completed(NamedTuple):
    """What came of runs: `made`, {what was missing: its result}, and why each of the others `failed`."""

    made: dict[Any, Any]
    failed: list[Exception]

    def then(self, make):
        """Call `make(wanted, result)` for everything that was made, one after another -> `Completed` of both."""
        ends = {wanted: _tried(make, wanted, result) for wanted, result in self.made.items()}
        made = {wanted: end for wanted, (end, error) in ends.items() if error is None}
        return Completed(made, self.failed + [error for _, error in ends.values() if error is not None])

    def end(self):
        """`UserError` with all that failed, each by its name and log."""
        if self.failed:
            lines = [_brief(error) for error in self.failed]
            ended = f"expected all {len(self.made) + len(lines)} to end well, got {len(lines)} that failed"
            raise UserError("\n  ".join([f"runs: {ended} (the same command makes them again):", *lines]))


def complete(config, make, missing):
    """Call `make` for everything that is missing, where a `launch.LaunchConfig` says -> `Completed`.

    What fails is reported at once and the others go on; the caller calls `end` after it has shown what there is.
    """
    # The threads only wait for the processes, or jobs, which end first where this is stopped.
    with ThreadPoolExecutor(launch.at_once(config, missing)) as pool, launch.using(config):
        contexts = [contextvars.copy_context() for _ in missing]  # a thread does not see what `using` sets
        ends = pool.map(lambda context, wanted: context.run(_tried, make, wanted), contexts, missing)
        ends = list(tqdm(ends, total=len(missing), desc="runs", disable=not missing))
    made = {wanted: end for wanted, (end, error) in zip(missing, ends, strict=True) if error is None}
    return Completed(made, [error for _, error in ends if error is not None])


def trained(trains):
    """Train what of these is not trained yet, all of which must end well -> run folders."""
    missing = [train for train in trains if results.newest(train) is None]
    complete(launch.LaunchConfig(), results.train, missing).end()
    return [results.newest(train) for train in trains]


def _tried(make, wanted, *more):
    """What `make` makes, None; or None, why it failed."""
    try:
        return make(wanted, *more), None
    except Exception as error:  # whatever it is, it must not take the other runs with it
        if not isinstance(error, UserError):
            error = UserError(f"{getattr(wanted, 'name', wanted)}: {type(error).__name__}: {error}")
        tqdm.write(f"failed: {error}", file=sys.stderr)
        return None, error


def _brief(error):
    """The first line: what ended, and where its log lies.

    Example:
        >>> _brief(UserError("a: train ended with status 1; /runs/a.log ends:\\nerror: loss"))
        'a: train ended with status 1; /runs/a.log'
    """
    return str(error).partition("\n")[0].removesuffix(" ends:")
