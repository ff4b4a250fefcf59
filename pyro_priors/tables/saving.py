"""Fitted estimators in files: what they are as JSON, their weights as safetensors. Nothing is pickled or executed."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pyro_priors.tables.frames import templates
from pyro_priors.tables.frames.schema import Schema
from pyro_priors.tables.laws.law import TableLaw

IMPUTER = "imputer.json"


def save(imputer: Any, path: str | os.PathLike) -> None:
    """Write a fitted estimator to a folder; each file is written to a temporary one and renamed, the weights first.

    Raises:
        OSError: the system refuses the files.
    """
    from pyro_priors.training.checkpoints import copies

    names = getattr(imputer, "feature_names_in_", None)
    made = {
        "parameters": _parameters(imputer),
        "names": None if names is None else list(names),
        "template": templates.to_json(imputer.template_),
        "schema": imputer.schema_.to_json(),
        "records": imputer.records_,
        "laws": [law.to_json() for law in imputer.laws_],
    }
    tensors = copies(torch.nn.ModuleList(imputer.laws_).state_dict())
    _saved().write(made, tensors, Path(path))


def load(cls: type, path: str | os.PathLike) -> Any:
    """Make the estimator that `save` wrote.

    Raises:
        ValueError: no such folder or file, one that is damaged or of another version.
    """
    made, tensors = _saved().read(Path(path))
    parameters = made["parameters"]
    imputer = cls(**{**parameters, "also_missing": tuple(parameters["also_missing"])})
    imputer.schema_ = Schema.from_json(made["schema"])
    imputer.template_ = templates.from_json(made["template"], imputer.schema_)
    imputer.n_features_in_ = len(imputer.schema_.fields)
    if made["names"] is not None:
        imputer.feature_names_in_ = np.asarray(made["names"], dtype=object)
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
    if parameters["checkpoint"] is not None:
        parameters["checkpoint"] = os.fspath(parameters["checkpoint"])
    seed = parameters["random_state"]
    parameters["random_state"] = None if isinstance(seed, np.random.RandomState) or seed is None else int(seed)
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in parameters.items()}


def _saved() -> Any:
    from pyro_priors.training.described import Described  # of the extra "tables"

    return Described(
        *(IMPUTER, 1, "path", "a saved TableImputer", "an estimator", "the estimator"),
        replaced="damaged or was replaced",
    )
