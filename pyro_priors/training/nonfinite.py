"""What is told where a loss is not finite: the site that it comes from, the batch itself, weights."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyro
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyro_priors.objectives.traces import Program, sample_sites, trace_pair


class _At(Messenger):
    """Remembers the sample site that a program has come to."""

    site: dict | None = None

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def _pyro_sample(self, msg: dict) -> None:
        self.site = msg


def find_nonfinite(model: Program, guide: Program, batch: tuple) -> str | None:
    """The first site of a fresh pass whose law or log-density is not finite, described; None where all are.

    The pass may end in an error: then it is the site that it has come to.
    """
    at = [_At("guide"), _At("model")]
    with torch.no_grad(), pyro.validation_enabled(False):
        try:
            traces = trace_pair(at[1](model), at[0](guide), batch)
        except (ValueError, RuntimeError):
            last = at[1] if at[1].site else at[0]
            return None if last.site is None else _described(last.site, last.where)
        for program, trace in zip(at, traces, strict=True):
            for name, site in sample_sites(trace):
                value, title = site["value"], f"site {name!r} of the {program.where}"
                if site["infer"].get("_deterministic") and not value.isfinite().all():
                    return f"{title}: {int((~value.isfinite()).sum())} values are not finite"
                try:
                    log_prob = site["fn"].log_prob(value)
                except (ValueError, RuntimeError):
                    return _described(site, program.where)
                if not log_prob.isfinite().all():
                    return f"{title}: log-density {float(log_prob.sum())}"
    return None


def _described(site: dict, where: str) -> str | None:
    """What is no number, or too large for one, in the law of a site; -inf may be the logarithm of a probability."""
    for name, value in _parameters(site["fn"]):
        if bad := int((~(value < torch.inf)).sum()):
            return f"site {site['name']!r} of the {where}: {bad} values of {name} are not finite"
    return None


def _parameters(law: Any) -> Iterator[tuple[str, Tensor]]:
    """Those that the law of a site names, within what wraps it."""
    while law is not None:
        for name in getattr(law, "arg_constraints", {}):
            value = getattr(law, name, None)
            parts = [value] if isinstance(value, Tensor) else value if isinstance(value, Sequence) else []
            yield from ((name, part) for part in parts)
        law = getattr(law, "base_dist", None)


def nonfinite_weights(module: nn.Module) -> list[str]:
    """The names of the parameters of a module that hold NaN or infinity."""
    return [name for name, p in module.named_parameters() if not p.isfinite().all()]


def listed(names: Iterable[str]) -> str:
    """The first of some parameters of a model."""
    names = [name.removeprefix("model.") for name in names]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def reasons(model: Any, module: nn.Module, batch: tuple, data_alone: bool = True) -> str | None:
    """Why a loss of a model is not finite, as far as can be seen; None where nothing can.

    Args:
        model: with `.model` and `.guide`.
        module: all that learns, the model too.
        batch: of which the first tensor is data; NaN in another may stand for what is missing.
        data_alone: whether the batch is a reason by itself, where neither a site nor weights are one. After an error it
            is not: there NaN may stand for what is missing in the data too.
    """
    causes, data = [find_nonfinite(model.model, model.guide, batch)], batch[0]
    if weights := nonfinite_weights(module):
        causes.append(f"weights are not finite: {listed(weights)}")
    causes = list(filter(None, causes))
    if (causes or data_alone) and isinstance(data, Tensor) and (count := int((~data.isfinite()).sum())):
        causes.append(f"the batch has {count} such values itself")
    return "; ".join(causes) or None
