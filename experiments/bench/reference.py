"""The authors' own code, from a checkout of the user's: TRIP's tensor ring, or GENTRL's tensor-train prior.

Nothing of it is copied here, and it runs only where it is wanted.
"""

import importlib.util

import torch

from pyro_priors.checks import UserError

# File that tells the repository -> class of its prior, and what its constructor takes for how the chain closes.
KNOWN = {
    "core/learnable_priors/trip.py": ("TRIP", {True: {}}),
    "gentrl/lp.py": ("LP", {True: {"tt_type": "ring"}, False: {"tt_type": "usual"}}),
}


def find(folder):
    """A function (problem, query) -> the reference's way to answer it, None where it has none.

    Raises:
        UserError: no known repository in `folder`, or it cannot be imported.
    """
    for file, (name, closing) in KNOWN.items():
        if (folder / file).is_file():
            prior = _imported(folder / file, name)
            return lambda problem, query: _answer(prior, closing, problem, query)
    raise UserError(f"reference: expected a checkout with {' or '.join(KNOWN)}, got {folder}")


def _imported(file, name):
    specification = importlib.util.spec_from_file_location(f"reference_{name}", file)
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        return getattr(module, name)
    except Exception as error:  # whatever the code of others may raise
        raise UserError(f"reference: expected to import {name} from {file}, got: {error!r}") from error


def _answer(prior, closing, problem, query):
    if problem.ring not in closing or query not in ("forward", "forward + backward", "sample"):
        return None
    columns, states, rank, batch = problem.shape
    theirs = prior([("c", states)] * columns, tt_int=rank, distr_init="rand", **closing[problem.ring])
    theirs = theirs.to(problem.device)
    parameters = [*theirs.tt_cores, *theirs.means, *theirs.log_stds]
    if query == "sample":
        return torch.no_grad()(lambda: theirs.sample(batch, ["s"] * columns))
    if query == "forward":
        return torch.no_grad()(lambda: theirs.log_prob(problem.value.clone()))
    return lambda: torch.autograd.grad(theirs.log_prob(problem.value.clone()).sum(), parameters)
