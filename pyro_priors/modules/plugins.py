"""Priors by name: a table of ours, and those that other packages add by the entry point `pyro_priors.priors`.

A prior is a module and, beside it, a frozen dataclass of its knobs, which says how the module is built.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, NamedTuple

from torch import nn

from pyro_priors.distributions.kinds import Kind

Sizes = int | tuple[int, ...]  # a number for all, or one for each
GROUP = "pyro_priors.priors"
PRIORS: dict[str, str] = {
    "trip": "pyro_priors.modules.trip:TRIPKnobs",
    "ttlp": "pyro_priors.modules.ttlp:TTLPKnobs",
    "gmm": "pyro_priors.modules.mixtures:GaussianMixtureKnobs",
    "vamp": "pyro_priors.modules.vamp_prior:VampPriorKnobs",
    "flow": "pyro_priors.modules.flow_normal:FlowNormalKnobs",
    "normal": "pyro_priors.modules.standard_normal:StandardNormalKnobs",
    "flow-ttlp": "pyro_priors.modules.flow_ttlp:FlowTTLPKnobs",
}


class Setting(NamedTuple):
    """What a prior is built for; the rest is its own knobs' affair."""

    latent_dim: int
    attributes: Mapping[str, Kind] = {}  # name -> `Discrete`, or `Continuous` of any number of components
    image_shape: tuple[int, int, int] | None = None  # (channels, height, width)
    bounds: tuple[float, float] | None = None  # range of the pixels, where they have one


class PriorKnobs(ABC):
    """Base of a frozen dataclass of knobs; the trailing comment of a field is the command line's help.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class WideNormalKnobs(PriorKnobs):
        ...     title: ClassVar[str] = "wide normal"
        ...     width: float = 2.0  # Standard deviation.
        ...
        ...     def build(self, setting):
        ...         prior = knobs_of("normal")().build(setting)
        ...         prior.scale.mul_(self.width)
        ...         return prior
        >>> WideNormalKnobs(width=3.0).build(Setting(latent_dim=2))().base_dist.scale
        tensor([3., 3.])
    """

    title: ClassVar[str]  # what figures and tables call the prior
    joint: ClassVar[bool] = False  # whether it is a law of the attributes too
    takes_encoder: ClassVar[bool] = False  # whether its module is called with an encoder
    least_latents: ClassVar[int] = 1

    @property
    def learns(self) -> bool:
        """Whether its module has anything to learn."""
        return not getattr(self, "fixed", False)

    @property
    def reinitializes(self) -> bool:
        """Whether its module can be set from encoded data, by a method `reinitialize`."""
        return False

    @property
    def standardizes(self) -> bool:
        """Whether its module can start at mean 0 and standard deviation 1, by a method `standardize`."""
        return False

    @abstractmethod
    def build(self, setting: Setting) -> nn.Module:
        """A fresh module with these knobs, seeded by torch's global generator."""


def knob(default: Any, **when: Any) -> Any:
    """A field that acts only where other fields have one of these values; plain fields always act.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Knobs:
        ...     base: str = "normal"
        ...     rank: int = knob(20, base="trip")
        >>> Knobs().rank, dict(dataclasses.fields(Knobs)[1].metadata)
        (20, {'when': {'base': 'trip'}})
    """
    return dataclasses.field(default=default, metadata={"when": when})


def prior_names() -> tuple[str, ...]:
    """The names of all priors: ours, then those of other packages.

    Raises:
        ValueError: an entry point under a name that is taken.
    """
    return *PRIORS, *_others()


def knobs_of(name: str) -> type[PriorKnobs]:
    """The knobs of a prior, whose file is imported only now.

    Raises:
        ValueError: an unknown name, an entry point under a name that is taken, or one that does not load.

    Example:
        >>> knobs_of("gmm")().components
        100
    """
    others = _others()
    if name in PRIORS:
        module, _, attribute = PRIORS[name].partition(":")
        return getattr(import_module(module), attribute)
    if name not in others:
        raise ValueError(f"prior: expected one of {', '.join([*PRIORS, *others])}, got {name!r}")
    point = others[name]
    try:
        knobs = point.load()
    except Exception as error:  # whatever that package raises when it is imported
        raise ValueError(f"{_label(point)}: expected knobs of a prior, got {error!r} while loading them") from error
    if not (isinstance(knobs, type) and issubclass(knobs, PriorKnobs) and dataclasses.is_dataclass(knobs)):
        raise ValueError(f"{_label(point)}: expected a dataclass on PriorKnobs, got {knobs!r}")
    return knobs


def prior_modules() -> dict[str, str]:
    """The module, dotted, of each prior's knobs, which nobody imports here.

    Raises:
        ValueError: an entry point under a name that is taken.
    """
    ours = {name: place.partition(":")[0] for name, place in PRIORS.items()}
    return ours | {name: point.module for name, point in _others().items()}


def check_counts(knobs: PriorKnobs, *fields: str) -> None:
    """`ValueError` where one of these fields is below 1."""
    for field in fields:
        if getattr(knobs, field) < 1:
            raise ValueError(f"{field}: expected at least 1, got {getattr(knobs, field)}")


def _others() -> dict[str, EntryPoint]:
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in PRIORS or point.name in points:
            raise ValueError(f"{_label(point)}: expected a name of its own, got one that is taken")
        points[point.name] = point
    return points


def _label(point: EntryPoint) -> str:
    return f"entry point {point.name!r} of {GROUP} ({point.value})"
