"""Programs in files: what they are made of as JSON, their weights as safetensors. Nothing is pickled or executed."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import pyro_priors
from pyro_priors.modules.plugins import prior_modules
from pyro_priors.modules.prior import renewed
from pyro_priors.programs.program import Program
from pyro_priors.recorded import OfShape, arguments_of
from pyro_priors.training.checkpoints import copies, differences, load_into, shapes
from pyro_priors.training.described import Described

PROGRAM = "program.json"
SAVED = Described(
    *(PROGRAM, 1, "folder", "a saved program", "a program", "the program"),
    replaced="damaged, or was replaced by a training that went on",
)
ROOMS = ("networks", "programs", "modules")  # where classes are looked for, among the public names


def save(program: nn.Module, folder: str | os.PathLike) -> None:
    """Write a program made of the library's networks, priors and likelihoods to a folder, for `load`.

    `program.json` says how it is made, by the arguments of its constructors, and holds a checksum of both files;
    `model.safetensors` has its weights. Each is written atomically, the weights first. A prior or a network alone can
    be saved too. The program's name in Pyro's parameter store is not: a loaded one gets a fresh name.

    Raises:
        ValueError: a part, or an argument, that is not the library's; nothing is written.
        OSError: the system refuses the files.

    Example:
        >>> import tempfile
        >>> import pyro_priors as pp
        >>> prior, folder = pp.TRIP(latent_dim=3, components=4, rank=2), tempfile.mkdtemp()
        >>> save(prior, folder)
        >>> torch.equal(load(folder).log_cores, prior.log_cores)
        True
    """
    described = _Describer(program).part(program, type(program).__name__)
    tensors = copies(program.state_dict())
    SAVED.write({"training": program.training, "program": described}, tensors, Path(folder))


def load(folder: str | os.PathLike) -> Any:
    """Make the program that `save` wrote, on the CPU, with its weights and in its mode (training or evaluation).

    Classes are looked for among the public names of `pyro_priors.networks`, `pyro_priors.programs` and
    `pyro_priors.modules`, and in the files of the priors that have a name (`pyro_priors.modules.plugins`), those of
    installed packages among them; nowhere else. The global random state stays as it is.

    Raises:
        ValueError: no such folder or file, one that is damaged or of another version, an unknown class.
    """
    made, tensors = SAVED.read(Path(folder), lambda made: _check_classes(made["program"]))
    with torch.random.fork_rng(devices=[]):
        program = _Maker().part(made["program"])
    tensors = renewed(program, tensors)
    expected, got = shapes(program.state_dict()), shapes(tensors)
    if expected != got:
        raise ValueError(f"folder: {folder} holds the weights of another program ({differences(expected, got)})")
    load_into(program, tensors, assign=True)  # whatever their precision
    return program.train(made["training"])


class _Describer:
    """From a module to JSON values; a module that stands in two places is described in the first."""

    def __init__(self, program: nn.Module) -> None:
        self.places: dict[int, int] = {}

    def part(self, module: nn.Module, where: str) -> dict[str, Any]:
        if id(module) in self.places:
            return {"same as": self.places[id(module)]}
        name, arguments = _class_name(type(module)), arguments_of(module)
        if name is None or arguments is None:
            raise ValueError(
                f"program: expected {where} to be made of the library's networks, priors and likelihoods, got a "
                f"{type(module).__qualname__} of {type(module).__module__}, which `load` could not make; keep its code "
                "and its weights yourself (`pyro_priors.training.save_weights`)"
            )
        if isinstance(module, Program):
            arguments.pop("name", None)
        self.places[id(module)] = len(self.places)
        values = {key: self.value(value, module, f"{where}.{key}") for key, value in arguments.items()}
        return {"class": name, "arguments": values}

    def value(self, value: Any, module: nn.Module, where: str) -> Any:
        if isinstance(value, nn.Module):
            return self.part(value, where)
        if isinstance(value, OfShape):
            return {"weights": self.shape(value, module, where), "dtype": str(value.dtype).removeprefix("torch.")}
        if isinstance(value, Tensor):
            return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": str(value)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list | tuple):
            items = [self.value(item, module, f"{where}[{index}]") for index, item in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {"dict": [[key, self.value(item, module, f"{where}[{key!r}]")] for key, item in value.items()]}
        if _is_kind(type(value)):
            return {"kind": type(value).__name__, "arguments": vars(value)}
        raise ValueError(
            f"program: expected numbers, texts, kinds and modules of the library, got {value!r} at {where}"
        )

    @staticmethod
    def shape(value: OfShape, module: nn.Module, where: str) -> list[int]:
        stored = module.state_dict(keep_vars=True).get(where.rpartition(".")[2])
        if stored is None or tuple(stored.shape) != value.shape:
            raise ValueError(f"program: expected tensors among the arguments to be weights, got another at {where}")
        return list(value.shape)


class _Maker:
    """From JSON values to modules."""

    def __init__(self) -> None:
        self.made: dict[int, nn.Module] = {}

    def part(self, described: Mapping[str, Any]) -> nn.Module:
        place = len(self.made)
        self.made[place] = nn.Module()  # the place is taken before those of its parts
        arguments = {key: self.value(value) for key, value in described["arguments"].items()}
        make = _class_of(described["class"])
        try:
            self.made[place] = make(**{**getattr(make, "before", {}), **arguments})
        except TypeError as error:
            raise ValueError(f"folder: {described['class']} cannot be made so ({error})") from error
        return self.made[place]

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "class" in value:
            return self.part(value)
        if "same as" in value:
            return self.made[value["same as"]]
        if "kind" in value:
            return _kind(value["kind"])(**value["arguments"])
        if "weights" in value:
            return torch.zeros(value["weights"], dtype=getattr(torch, value["dtype"]))
        if "tensor" in value:
            return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"]))
        if "float" in value:
            return float(value["float"])
        if "tuple" in value:
            return tuple(self.value(item) for item in value["tuple"])
        return {key: self.value(item) for key, item in value["dict"]}


def _check_classes(described: Any) -> None:
    """`ValueError` for one that is not ours, wherever it stands; before anything is made."""
    if isinstance(described, dict):
        if "class" in described:
            _class_of(described["class"])
            described = described["arguments"]  # whose names may be any
        elif "kind" in described:
            _kind(described["kind"])
        described = list(described.values())
    if isinstance(described, list):
        for value in described:
            _check_classes(value)


def _class_name(kind: type) -> str | None:
    """As `_class_of` takes it: "room.Class", or "prior:Class" for one in the file of a prior's knobs."""
    for room in ROOMS:
        public = import_module(f"pyro_priors.{room}")
        if kind.__name__ in public.__all__ and getattr(public, kind.__name__) is kind:
            return f"{room}.{kind.__name__}"
    priors = [name for name, module in prior_modules().items() if module == kind.__module__]
    return f"{priors[0]}:{kind.__name__}" if priors else None


def _class_of(name: Any) -> Callable[..., nn.Module]:
    text = str(name)
    if ":" in text:
        prior, _, attribute = text.partition(":")
        module = prior_modules().get(prior)
        source = None if module is None else _imported(module)
    else:
        room, _, attribute = text.partition(".")
        source = import_module(f"pyro_priors.{room}") if room in ROOMS else None
        source = source if source is not None and attribute in source.__all__ else None
    kind = None if source is None else getattr(source, attribute, None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ValueError(
            f"folder: expected a program of public classes of {', '.join(f'pyro_priors.{room}' for room in ROOMS)}, or "
            f"of priors of installed packages, got the unknown class {text!r}"
        )
    return kind


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except Exception as error:  # whatever that package raises
        raise ValueError(f"folder: the priors of {module} cannot be imported ({error!r})") from error


def _is_kind(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) and getattr(pyro_priors, kind.__name__, None) is kind


def _kind(name: Any) -> Callable[..., Any]:
    kind = getattr(pyro_priors, str(name), None)
    if not (isinstance(kind, type) and _is_kind(kind)):
        raise ValueError(f"folder: expected kinds of variables such as Discrete, got {name!r}")
    return kind
