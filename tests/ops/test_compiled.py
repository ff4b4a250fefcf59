"""The plain contractions as `torch.compile` takes them: whole, both forms, in a user's own code and by an argument."""

import shutil
import subprocess
import sys

import pytest
import torch
from factored_chains import close, full, grads, inputs_of, problem

from pyro_priors.ops import Cores, Factored, log_contract, log_contract_factored, state_posterior_factored


def contractions(sizes, order=True):
    """name -> (a function of the tensors that takes `compile=`, its tensors)"""
    log_weights, chained, along = problem(sizes)
    layout, along = chained.layout, along if order else None
    cores = full(chained, along or tuple(range(len(sizes)))).groups
    forms = {
        "factored": (
            lambda x, *tensors, **how: log_contract_factored(x, Factored.of(tensors, layout), along, **how),
            inputs_of(log_weights, chained),
        )
    }
    for ring in (True, False):
        forms["ring" if ring else "train"] = (
            lambda x, *tensors, ring=ring, **how: log_contract(x, Cores(tensors, layout), ring, along, **how),
            [x.detach().clone().requires_grad_() for x in (log_weights, *cores)],
        )
    return forms


def check(ours, theirs, inputs):
    """Two contractions of as many rows as there are, and of one less."""
    for rows in (3, 2):
        leaves = [inputs[0].detach()[:rows].clone().requires_grad_(), *inputs[1:]]
        first, second = ours(*leaves), theirs(*leaves)
        close(first, second)
        for mine, other in zip(grads(first.sum(), leaves), grads(second.sum(), leaves), strict=True):
            close(mine, other)


@pytest.mark.parametrize("form", ["factored", "ring", "train"])
@pytest.mark.parametrize(("sizes", "order"), [((2, 3, 2), True), pytest.param((3, 3), False, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_one_graph(form, sizes, order):
    """Without a compiler behind it: what is written down, and that nothing breaks it."""
    torch.compiler.reset()
    contract, inputs = contractions(sizes, order)[form]
    check(torch.compile(contract, fullgraph=True, backend="eager"), contract, inputs)


def test_one_graph_of_posteriors():
    torch.compiler.reset()
    log_weights, chained, order = problem((3, 2, 3))
    whole = torch.compile(lambda x: state_posterior_factored(x, chained, order), fullgraph=True, backend="eager")
    close(whole(log_weights), state_posterior_factored(log_weights, chained, order))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize("form", ["factored", "ring", "train"])
def test_compiled(form):
    torch.compiler.reset()
    contract, inputs = contractions((3, 2, 3))[form]
    check(lambda *leaves: contract(*leaves, compile=True), contract, inputs)


@pytest.mark.parametrize("validated", [True, False])
def test_compiling_leaves_the_checks_of_distributions_as_they_were(validated):
    """In a process of its own: torch turns them off once, at the first compilation."""
    script = f"""
import torch
from pyro_priors.ops.compiled import compiled
from torch.distributions import Distribution, Normal
Distribution.set_default_validate_args({validated})
compiled(lambda x, y: x, lambda tensors, layout: None, None)
assert Distribution._validate_args is {validated}
torch.compile(lambda x: x)
assert Distribution._validate_args is {validated}  # it was the first, and will not do so again
"""
    subprocess.run([sys.executable, "-c", script], check=True)
