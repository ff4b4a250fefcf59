"""What may be explored, and how it is opened."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyro_priors.checks import UserError
from pyro_priors.distributions.flow_joint import FlowJoint
from pyro_priors.explore.evidence import from_json
from pyro_priors.explore.laws import LawSubject
from pyro_priors.explore.subject import Subject

Categories = Mapping[str, Sequence[str]]


def subject_of(thing: Any, title: str | None = None, categories: Categories | None = None) -> Subject:
    """A law, a prior, a program with attributes, or a fitted `TableImputer`, ready to be asked.

    Args:
        thing: what is explored; a subject stays one.
        title: what it is called.
        categories: texts of the states of discrete variables, by name; a table has its own.

    Raises:
        ValueError: anything else.
    """
    from pyro_priors.tables.imputer import TableImputer  # here, since laws do without

    if isinstance(thing, Subject):
        return thing
    if isinstance(thing, TableImputer):
        from pyro_priors.explore.tables import TableSubject

        return TableSubject(thing, title or "A table")
    if hasattr(thing, "attribute_law") and hasattr(thing, "decode"):
        from pyro_priors.explore.images import ImageSubject

        return ImageSubject(thing, title or type(thing).__name__, categories)
    if hasattr(thing, "model") and hasattr(thing, "guide"):
        raise ValueError(f"program: expected one with attributes, such as JointVAE, got {type(thing).__name__}")
    if isinstance(thing, nn.Module):
        with torch.no_grad():  # nothing learns here
            return subject_of(thing(), title or type(thing).__name__, categories)
    law = thing.marginal("y") if isinstance(thing, FlowJoint) else thing
    return LawSubject(law, title or type(law).__name__, categories)


def open_subject(path: str | os.PathLike) -> Subject:
    """What lies in a folder: a saved `TableImputer`, or the run or saved program of a joint VAE, or a saved prior.

    Raises:
        ValueError: no such folder, or none of these in it.
    """
    from pyro_priors.tables.saving import IMPUTER
    from pyro_priors.training.saving import PROGRAM

    folder = Path(path)
    if (folder / IMPUTER).is_file():
        from pyro_priors.explore.tables import TableSubject
        from pyro_priors.tables.imputer import TableImputer

        return TableSubject(TableImputer.load(folder), folder.absolute().name, str(path))
    if (folder / PROGRAM).is_file():
        from pyro_priors.training.saving import load

        whole = folder.absolute()
        subject = subject_of(load(folder).eval(), f"{whole.parent.name}/{whole.name}")
        subject.path = str(path)
        return subject
    raise UserError(
        f"model: expected a folder with {IMPUTER} (that `pyro-priors impute --model` wrote) or {PROGRAM} (a run, or "
        f"what `training.save` wrote), got {folder.absolute()}"
    )


def ask(thing: Any, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The law of every variable given some: what the page shows, and its JSON API answers.

    Args:
        thing: a law, a prior, a program with attributes, a fitted `TableImputer`, or a subject (which is asked again at
            less cost).
        given: by name a value, a tuple (low, high) of which None is an open end, or a list of categories.

    Returns:
        "variables" by name: "is" ("set", "limited" to a range or some categories, or "open"), of a category "probs", of
        a number "mean", "median", "interval" (of 90 %), "density" on the axis, "points" [value, probability]; "change"
        is the divergence from the law with nothing given, in nats. Beside them "log_prob" of what is given, and
        "exact": False where several ranges go together and answers come from weighted draws.

    Raises:
        ValueError: an unknown name, a value that a variable cannot have, evidence of probability zero.

    Example:
        >>> import torch
        >>> from pyro_priors.distributions import Discrete, FactoredTrain, Variables
        >>> stay = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
        >>> variables = Variables({"rain": Discrete(2), "wet": Discrete(2)})
        >>> law = FactoredTrain(torch.tensor([0.5, 0.5]), torch.stack([torch.eye(2), stay]), stay[None], variables)
        >>> answer = ask(law, {"rain": 1})["variables"]["wet"]
        >>> [round(p, 2) for p in answer["probs"]], round(answer["change"], 3)
        ([0.18, 0.82], 0.222)
    """
    said = {
        name: value if isinstance(value, tuple) else next(iter(from_json({name: value}).values()))
        for name, value in (given or {}).items()
    }
    return subject_of(thing).answer(said)
