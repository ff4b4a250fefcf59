"""The one place that knows ArviZ' versions.

0.23 has `arviz.psislw`, and `arviz.from_dict` takes groups as keywords and makes InferenceData; 1.x has moved the first
to `arviz_stats`, and its `from_dict` takes one dictionary of groups and makes an xarray DataTree.
"""

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

BATCH, ATTRIBUTE = "data", "attribute"  # names of dimensions; the first is that of the models' plate


def pareto_k(log_weights: np.ndarray) -> np.ndarray:
    """Pareto k-hat of importance weights: `(*, draws)` to `(*)`.

    Below 0.7 an importance-sampling estimate can be trusted; -inf for equal weights, which have no tail, inf where
    fewer than five weights are left after underflow, NaN (unknown) for fewer than 25 draws.

    References:
        Vehtari, Simpson, Gelman, Yao, Gabry, "Pareto smoothed importance sampling", JMLR 25(72), 2024.

    Example:
        >>> weights = np.random.default_rng(0).standard_cauchy((2, 1000))  # heavy tails, k about 1
        >>> bool((pareto_k(np.log(np.abs(weights))) > 0.7).all())
        True
    """
    log_weights = np.asarray(log_weights, dtype=np.float64)
    if log_weights.shape[-1] < 25:  # the tail is a fifth of the draws, and a fit needs five
        return np.full(log_weights.shape[:-1], np.nan)
    return np.where(np.ptp(log_weights, axis=-1) == 0, -np.inf, _psis_k(log_weights))


def _psis_k(log_weights: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        # 0.23 announces the refactoring once a day at import, and a k above 0.7 is a result, not a warning.
        warnings.simplefilter("ignore")
        import arviz

        if hasattr(arviz, "psislw"):
            return np.asarray(arviz.psislw(log_weights)[1])
        from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports] (of 1.x alone)

        return np.asarray(array_stats.psislw(-log_weights, axis=-1)[1])  # 1.x takes log-likelihoods: the negative


def to_arviz(
    draws: Mapping[str, Tensor | np.ndarray],
    *,
    attributes: Iterable[str] = (),
    coords: Mapping[str, Sequence] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    observed: Mapping[str, Tensor | np.ndarray] | None = None,
) -> Any:
    """Independent draws as ArviZ wants them: InferenceData under ArviZ 0.23, an xarray DataTree under 1.x.

    Takes what `pyro.infer.Predictive(vae.model, guide=vae.guide, num_samples=100)(x, y)` returns, or draws of one's
    own, `{"z": vae.encode(x).sample((100,)), "y_imputed": impute(vae, x, y, draws=100)}`. All draws form one chain.

    What every draw repeats, as Predictive does with an observed site, is no draw: it goes to "constant_data" once, or
    is dropped where `observed` has it. Imputations ("..._imputed") are always draws, also where nothing was missing.

    Shapes:
        every array of `draws` is `(draws, *)`, every one of `observed` `(*)`. The dimensions after the draws are called
        "data" (the batch), "attribute" (the last one of "y" and "y_imputed", where attributes are given), and
        "<name>_dim_0", "<name>_dim_1", ... as ArviZ does.

    Args:
        draws: arrays by name, for the group "posterior", or "constant_data" where all of several draws are equal.
        attributes: names of the attributes, such as `prior.attributes`, for the coordinate "attribute":
            `posterior["y_imputed"].sel(attribute="digit")`.
        coords: labels of the entries along a dimension, by its name.
        dims: names of the dimensions after the draws, by variable, instead of those above; further ones are as above.
        observed: data by name, for the group "observed_data". Draws of the same name go to "posterior_predictive", and
            nowhere where each of them repeats the data, as those of an observed site do.

    Raises:
        ValueError: no draws, arrays or labels whose sizes do not fit each other, a dimension named twice.

    Example:
        >>> x = torch.rand(5, 1, 8, 8)
        >>> draws = {"y_imputed": torch.zeros(100, 5, 2), "x": x.expand(100, -1, -1, -1, -1)}
        >>> data = to_arviz(draws, attributes=("digit", "sex"))
        >>> dict(data.posterior.sizes)
        {'chain': 1, 'draw': 100, 'data': 5, 'attribute': 2}
        >>> dict(data.constant_data.sizes)
        {'data': 5, 'x_dim_0': 1, 'x_dim_1': 8, 'x_dim_2': 8}
    """
    arrays, data = _arrays("draws", draws), _arrays("observed", observed or {})
    if not arrays:
        raise ValueError("draws: expected at least one array, got none")
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) == 0:
            raise ValueError(f"draws[{name!r}]: expected shape (draws, *) with at least one draw, got {array.shape}")
        arrays[name] = array[None]  # the chain
    unknown = sorted((dims or {}).keys() - arrays.keys() - data.keys())
    if unknown:
        raise ValueError(f"dims: expected names of draws or of observed data, got {', '.join(map(repr, unknown))}")
    attributes = tuple(attributes)
    coords = {**({ATTRIBUTE: list(attributes)} if attributes else {}), **(coords or {})}
    sizes = {name: len(labels) for name, labels in coords.items()}
    named, event_dims = dict(dims or {}), {}
    if attributes:
        named = {"y": (BATCH, ATTRIBUTE), "y_imputed": (BATCH, ATTRIBUTE), **named}
    for where, group, lead in (("draws", arrays, ("chain", "draw")), ("observed", data, ())):
        for name, array in group.items():
            event_dims[name] = _dim_names(name, array.ndim - len(lead), named.get(name))
            _fit(f"{where}[{name!r}]", [*lead, *event_dims[name]], array.shape, sizes)
    return _from_dict(_grouped(arrays, data), coords, event_dims)


def _grouped(arrays: dict[str, np.ndarray], data: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """ArviZ' groups of the draws `(1, draws, *)` and of the data."""
    constant: dict[str, np.ndarray] = {}
    groups = {"posterior": {}, "posterior_predictive": {}, "observed_data": data, "constant_data": constant}
    for name, array in arrays.items():
        if name in data:
            if not _repeats(array[0], data[name]):
                groups["posterior_predictive"][name] = array
        elif array.shape[1] > 1 and not name.endswith("_imputed") and _repeats(array[0], array[0, 0]):
            constant[name] = array[0, 0]
        else:
            groups["posterior"][name] = array
    return {name: group for name, group in groups.items() if group}


def _repeats(draws: np.ndarray, value: np.ndarray) -> bool:
    """Whether every draw is this value; NaN is NaN."""
    return all(np.array_equal(draw, value, equal_nan=draw.dtype.kind in "fc") for draw in draws)


def _from_dict(groups: dict[str, dict], coords: dict[str, Sequence], dims: dict[str, list[str]]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at import, as above
        import arviz
    from_dict: Callable[..., Any] = arviz.from_dict
    if "posterior" in inspect.signature(from_dict).parameters:
        return from_dict(**groups, coords=coords, dims=dims)
    return from_dict(groups, coords=coords, dims=dims)


def _arrays(where: str, values: Mapping[str, Tensor | np.ndarray]) -> dict[str, np.ndarray]:
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: expected a mapping from names to arrays, got {type(values).__name__}")
    arrays = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            value = value.detach().cpu()
            value = value.float() if value.dtype == torch.bfloat16 else value  # which numpy does not have
        arrays[name] = np.asarray(value)
    return arrays


def _dim_names(name: str, count: int, said: Sequence[str] | None) -> list[str]:
    """Names of the dimensions of one draw: those said, or that of the batch, then ArviZ' own."""
    said = [BATCH][:count] if said is None else list(said)
    if len(said) > count:
        raise ValueError(f"dims[{name!r}]: expected at most {count} names, got {said}")
    return said + [f"{name}_dim_{index}" for index in range(count - len(said))]


def _fit(where: str, names: Sequence[str], shape: Sequence[int], sizes: dict[str, int]) -> None:
    """Check an array's dimensions against those met before, and remember them in `sizes`."""
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: expected a name of its own for every dimension, got {', '.join(names)}")
    for name, size in zip(names, shape, strict=True):
        if sizes.setdefault(name, size) != size:
            raise ValueError(f"{where}: expected {sizes[name]} along dimension {name!r}, got {size}")
