"""Dicts, lists and tuples of tensors, numbers and strings as JSON values, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor


def packed(value: Any, where: str, tensors: dict[str, Tensor], names: dict[int, str]) -> Any:
    """JSON values, `tensors` being filled by name; `names` tells which stand in it already, by id."""
    if isinstance(value, Tensor):
        if id(value) not in names:
            if where in tensors:
                raise ValueError(f"state: expected one value under each name, got two at {where}")
            names[id(value)], tensors[where] = where, value
        return {"tensor": names[id(value)]}
    if isinstance(value, Mapping):
        items = [[packed(k, where, {}, {}), packed(v, f"{where}.{k}", tensors, names)] for k, v in value.items()]
        return {"dict": items}
    if isinstance(value, list | tuple):
        items = [packed(item, f"{where}.{index}", tensors, names) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"state: expected tensors, numbers and strings in a checkpoint, got {value!r} at {where}")


def unpacked(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [unpacked(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(unpacked(item, tensors) for item in value["tuple"])
    return {unpacked(k, tensors): unpacked(v, tensors) for k, v in value["dict"]}
