"""What every prior module has: a schema, which travels with its weights, and a law of two latents for pictures."""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_priors.recorded import Recorded

UNSAID = {"covariance": "diagonal"}  # what a schema means that says nothing
STATE = "_extra_state"  # torch's name, in a state_dict, for what is no parameter and no buffer


class Fitting(NamedTuple):
    """How `pyro_priors.training.fit_prior` trains a prior where nobody says, and of how many rows it starts."""

    lr: float = 1e-2  # Adam's
    betas: tuple[float, float] = (0.9, 0.999)
    epochs: int = 50
    plateau: bool = False  # whether rates fall where the validation loss no longer does
    pseudo: float = 0.0  # rows that are added to what each of its states has seen, see `ChainPrior.log_smoothness`
    rows: int = 2000  # that `reinitialize` is shown, by `pyro_priors.training.Reinitialize`


class Prior(Recorded):
    """Owner of a learnable law; calling it returns that law at the present parameters.

    What it is a law of, its schema, stands in its state_dict: weights of another schema are refused before any is
    copied. Weights without one, kept before there was any, load as they are.
    """

    latent_dim: int

    def schema(self) -> dict[str, Any]:
        """What weights must agree in to be those of this law, as JSON values; a subclass adds its own."""
        return {"law": type(self).__name__, "latents": self.latent_dim}

    def plane(self, law: Any, dims: tuple[int, int] = (0, 1)) -> Distribution | None:
        """The exact law of two latents under `law`, which calling this module returned; None: no closed form.

        Raises:
            ValueError: latents that are not there, or not in ascending order.
        """
        check_dims(dims, law.event_shape[0])
        return law if law.event_shape == (2,) else None

    def fitting(self) -> Fitting:
        """How it is best trained alone."""
        return Fitting()

    @torch.no_grad()
    def standardize(self) -> None:
        """Shift and scale the latents so that each has mean 0 and standard deviation 1 under the law, in place.

        That is how a prior that feeds a generator should start, a fixed one too: as N(0, I) does, so that what differs
        is its form. To be called before training: an optimizer's state of these parameters is stale afterwards.

        Raises:
            NotImplementedError: a prior whose latents an encoder decides, or that does not know how.
        """
        if getattr(self, "takes_encoder", False):
            raise NotImplementedError("standardize: expected latents of its own, got those of its encoder")
        law = self()
        latents = slice(self.latent_dim)
        self._rescale(law.mean[latents], law.variance[latents].sqrt())

    def _rescale(self, shift: Tensor, scale: Tensor) -> None:
        """Make its law that of (z - shift) / scale, ``(d,)`` each, in place; what is not z stays."""
        raise NotImplementedError(f"standardize: expected a prior that can be moved, got {type(self).__name__}")

    def former(self, name: str, tensor: Tensor) -> Tensor:
        """What versions of before kept for a parameter or buffer, as it is kept now; anything else as it is."""
        return tensor

    def unsaid(self, names: Collection[str]) -> dict[str, Tensor]:
        """Buffers that weights of versions of before, which have these names, leave out, as this one keeps them."""
        return {}

    def get_extra_state(self) -> Tensor:
        """The schema as a tensor of bytes, which safetensors can hold."""
        return torch.frombuffer(bytearray(_text(self.schema()).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """`ValueError` where weights are of another schema."""
        _check(self.schema(), state, "")

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        if prefix + STATE in state_dict:
            _check(self.schema(), state_dict[prefix + STATE], prefix)
        for name, tensor in state_dict.items():  # of load_state_dict's own copy
            if name.startswith(prefix) and isinstance(tensor, Tensor):
                state_dict[name] = self.former(name.removeprefix(prefix), tensor)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if prefix + STATE in missing_keys:
            missing_keys.remove(prefix + STATE)


def check_state(module: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """`ValueError` where weights are of other laws than the priors in a module, before any is copied.

    `load_state_dict` of a prior does so itself; in that of a whole model other parts may come before it.
    """
    for name, part in module.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(part, Prior) and prefix + STATE in state_dict:
            _check(part.schema(), state_dict[prefix + STATE], prefix)


def renewed(module: nn.Module, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of this version or of one before, as this one keeps them; anything else as it is.

    `load_state_dict` of a prior does so itself; who looks at shapes before it needs this.
    """
    result = dict(state_dict)
    for name, part in module.named_modules():
        if isinstance(part, Prior):
            prefix = f"{name}." if name else ""
            own = [key for key in part.state_dict(keep_vars=True) if isinstance(result.get(prefix + key), Tensor)]
            result |= {prefix + key: part.former(key, result[prefix + key]) for key in own}
            names = {key.removeprefix(prefix) for key in result if key.startswith(prefix)}
            result |= {prefix + key: flag for key, flag in part.unsaid(names).items()}
    return result


def check_dims(dims: tuple[int, int], latents: int) -> None:
    """`ValueError` unless `dims` are two latents in ascending order."""
    if len(dims) != 2 or not 0 <= dims[0] < dims[1] < latents:
        raise ValueError(f"dims: expected two of 0..{latents - 1} in ascending order, got {tuple(dims)}")


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


def _check(expected: Mapping[str, Any], state: Any, prefix: str) -> None:
    """`ValueError` that says in what two schemas differ."""
    expected = json.loads(_text(expected))
    try:
        got = json.loads(bytes(state.cpu().tolist()))
    except (AttributeError, TypeError, ValueError):
        got = None
    if not isinstance(got, dict):
        raise ValueError(f"{prefix}{STATE}: expected what a prior says of itself, got {type(state).__name__}")
    if expected.get("law") != got.get("law"):  # the rest says nothing then
        expected, got = ({"law": schema.get("law")} for schema in (expected, got))
    if differing := _differences(expected, got):
        raise ValueError("; ".join(f"{prefix}{difference}" for difference in differing))


def _differences(expected: Mapping[str, Any], got: Mapping[str, Any]) -> list[str]:
    """Every place in which two schemas differ, as text."""
    texts = []
    for key in dict.fromkeys([*expected, *got]):
        ours, theirs = (schema.get(key, UNSAID.get(key)) for schema in (expected, got))
        if ours == theirs:
            continue
        if key == "variables" and ours and theirs:
            texts += _other_variables(dict(ours), dict(theirs))
        elif isinstance(ours, dict) and isinstance(theirs, dict):
            texts += [f"{key}.{text}" for text in _differences(ours, theirs)]
        else:
            texts.append(f"{key}: expected {ours}, got {theirs}")
    return texts


def _other_variables(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Which variables have other kinds; where none has, what stands in which order."""
    named = {name: (ours.get(name, "none"), theirs.get(name, "none")) for name in {**ours, **theirs}}
    differing = [f"{name}: expected {kind}, got {other}" for name, (kind, other) in named.items() if kind != other]
    return differing or [f"variables: expected {', '.join(ours)}, got {', '.join(theirs)}"]
