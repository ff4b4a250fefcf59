"""Fitted estimators in files: what they are as JSON, their weights as safetensors. Nothing is pickled or executed."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pyro_priors
from pyro_priors.tables.frames import templates
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.laws.law import TableLaw

IMPUTER, WEIGHTS = "imputer.json", "model.safetensors"
FORMAT = 1  # raised when a file of this version can no longer be read by the next


def save(imputer: Any, path: str | os.PathLike) -> None:
    """Write a fitted estimator to a folder; each file is written to a temporary one and renamed, the weights first.

    Raises:
        OSError: the system refuses the files.
    """
    from pyro_priors.training.checkpoints import copies, write_weights
    from pyro_priors.training.files import replace_file

    names = getattr(imputer, "feature_names_in_", None)
    made = {
        "format": FORMAT,
        "version": pyro_priors.__version__,
        "parameters": _parameters(imputer),
        "names": None if names is None else list(names),
        "template": templates.to_json(imputer.template_),
        "schema": imputer.schema_.to_json(),
        "records": imputer.records_,
        "laws": [law.to_json() for law in imputer.laws_],
    }
    tensors = copies(torch.nn.ModuleList(imputer.laws_).state_dict())
    made["sha256"] = _checksum(made, tensors)
    text = json.dumps(made, indent=1, allow_nan=False)
    write_weights(tensors, Path(path) / WEIGHTS)
    replace_file(Path(path) / IMPUTER, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))


def load(cls: type, path: str | os.PathLike) -> Any:
    """Make the estimator that `save` wrote.

    Raises:
        ValueError: no such folder or file, one that is damaged or of another version.
    """
    made, tensors = _read(Path(path))
    parameters = made["parameters"]
    imputer = cls(**{**parameters, "also_missing": tuple(parameters["also_missing"])})
    imputer.schema_ = Schema.from_json(made["schema"])
    imputer.template_ = templates.from_json(made["template"], imputer.schema_)
    imputer.n_features_in_ = len(imputer.schema_.fields)
    if made["names"] is not None:
        imputer.feature_names_in_ = np.asarray(made["names"], dtype=object)
    with torch.random.fork_rng(devices=[]):
        laws = torch.nn.ModuleList([TableLaw.from_json(law) for law in made["laws"]])
    try:
        laws.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise ValueError(f"path: {path} holds the weights of another estimator ({error})") from error
    imputer.laws_, imputer.records_ = list(laws), made["records"]
    return imputer


def _parameters(imputer: Any) -> dict[str, Any]:
    """Those of the constructor as JSON values; a generator of random numbers is not among them."""
    parameters = imputer.get_params(deep=False)
    parameters["also_missing"] = list(parameters["also_missing"])
    seed = parameters["random_state"]
    parameters["random_state"] = None if isinstance(seed, np.random.RandomState) or seed is None else int(seed)
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in parameters.items()}


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What `save` wrote, its checksum right."""
    from pyro_priors.training.checkpoints import read_weights

    for name in (IMPUTER, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"path: expected a saved TableImputer, got {folder} (it has no file {name})")
    try:
        made = json.loads((folder / IMPUTER).read_text(encoding="utf-8"))
        version, written = made["format"], made["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"path: {folder / IMPUTER} is damaged ({error!r}); save the estimator again") from error
    if version != FORMAT:
        raise ValueError(f"path: expected an estimator of format {FORMAT}, got format {version} in {folder}")
    try:
        tensors = read_weights(folder / WEIGHTS)
    except ValueError as error:
        raise ValueError(f"path: {folder / WEIGHTS} is damaged ({error}); save the estimator again") from error
    if written != _checksum(made, tensors):
        raise ValueError(
            f"path: expected {IMPUTER} and {WEIGHTS} as they were saved together, got others in {folder} (the checksum "
            "differs: one is damaged or was replaced); save the estimator again"
        )
    return made, tensors


def _checksum(made: dict[str, Any], tensors: dict[str, torch.Tensor]) -> str:
    from pyro_priors.training.checkpoints import checksum

    text = json.dumps({key: value for key, value in made.items() if key != "sha256"}, sort_keys=True)
    return checksum(text, tensors)
