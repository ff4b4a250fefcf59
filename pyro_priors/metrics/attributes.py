"""How good predicted attributes are, against the truth where it is known, and how attributes hang together."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyro_priors.checks import check_count
from pyro_priors.distributions import ChainLaw, FlowJoint


class Imputation(NamedTuple):
    """One discrete attribute over the `count` rows whose truth is known; all are NaN where there is none.

    `accuracy` of the most probable category and its standard error (NaN for one row); `log_loss` is the mean of
    -log p(truth) in nats, infinite where a truth was given probability 0; `ece` is that of `calibration`.
    """

    accuracy: float
    accuracy_se: float
    log_loss: float
    ece: float
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] (a count, not tuple's)


class Calibration(NamedTuple):
    """A reliability diagram: mean confidence, accuracy and number of rows of each bin, `(bins,)` (NaN where empty).

    `ece` is the expected calibration error, the mean over rows of a bin's distance of confidence and accuracy.
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor  # pyright: ignore[reportIncompatibleMethodOverride]
    ece: float


class Coverage(NamedTuple):
    """Share of the rows that are answered, most confident first, and accuracy on them: `(n,)` each."""

    coverage: Tensor
    accuracy: Tensor


def imputation(probs: Tensor, truth: Tensor, bins: int = 15) -> Imputation:
    """Accuracy, log loss and calibration of one discrete attribute.

    Args:
        probs: class probabilities, `(n, K)`, as a value of `classify`.
        truth: states, `(n,)`; rows whose truth is NaN (unknown) are left out.
        bins: of the calibration error.

    Raises:
        ValueError: shapes that do not fit, rows that are no probabilities, a truth that is no state, bins < 1.

    Example:
        >>> probs = torch.tensor([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])
        >>> result = imputation(probs, torch.tensor([0.0, 1.0, torch.nan]))
        >>> result.accuracy, result.ece, result.count
        (1.0, 0.25, 2)
    """
    ece = calibration(probs, truth, bins).ece
    probs, truth = _known_rows(probs, truth)
    count = len(truth)
    if count == 0:
        return Imputation(math.nan, math.nan, math.nan, math.nan, 0)
    hits = (probs.argmax(-1) == truth).double()
    error = float(hits.std()) / math.sqrt(count) if count > 1 else math.nan
    log_loss = -probs.gather(-1, truth.unsqueeze(-1)).log().mean()
    return Imputation(float(hits.mean()), error, float(log_loss), ece, count)


def calibration(probs: Tensor, truth: Tensor, bins: int = 15) -> Calibration:
    """How often the most probable category is right, against the probability it was given.

    Bins of equal width over (0, 1], each closed on the right.

    Note:
        The ECE of finite data is biased upwards: compare numbers of equal counts.

    References:
        Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017, eq. 2-3.

    Args:
        probs, truth, bins: as in `imputation`.

    Raises:
        ValueError: as in `imputation`.
    """
    check_count("bins", bins)
    probs, truth = _known_rows(probs, truth)
    confidence, best = probs.max(-1)
    inner_edges = torch.arange(1, bins, dtype=probs.dtype) / bins
    index = torch.bucketize(confidence, inner_edges)
    count = torch.bincount(index, minlength=bins)
    means = [
        torch.bincount(index, weights=value, minlength=bins) / count  # 0 / 0 = NaN where a bin is empty
        for value in (confidence, (best == truth).double())
    ]
    gap = ((means[0] - means[1]).abs() * count).nansum() / len(truth) if len(truth) else math.nan
    return Calibration(means[0], means[1], count, float(gap))


def accuracy_coverage(probs: Tensor, truth: Tensor) -> Coverage:
    """Accuracy on the most confident rows, for every number of rows answered; without known rows both are empty.

    Rows of equal confidence count with their mean accuracy, so that the order of the rows changes nothing.

    Args:
        probs, truth: as in `imputation`.

    Raises:
        ValueError: as in `imputation`.
    """
    probs, truth = _known_rows(probs, truth)
    confidence, best = probs.max(-1)
    group = confidence.unique(return_inverse=True)[1]
    mean = torch.bincount(group, weights=(best == truth).double()) / torch.bincount(group)
    answered = torch.arange(1, len(truth) + 1, dtype=probs.dtype)
    right = mean[group[confidence.argsort(descending=True)]].cumsum(0)
    return Coverage(answered / max(len(truth), 1), right / answered)


@torch.no_grad()
def mutual_information(joint: ChainLaw | FlowJoint) -> tuple[tuple[str, ...], Tensor]:
    r"""Mutual information between discrete variables of a law on a chain in nats, exact: how attributes hang together.

    .. math:: I(a, b) = \sum_{s, t} p(a = s, b = t) \log \frac{p(a = s, b = t)}{p(a = s) p(b = t)}

    Cost: one row of `state_probs` for every state of every discrete variable. In float64 whatever the parameters are.

    Args:
        joint: a law without batch dimensions, such as `prior()`, or `prior().condition(digit=3.0)` for the information
            given that. Variables with a name of their own are read, not the columns of blocks.

    Returns:
        the names in declared order, and `(A, A)`, symmetric, with the entropies on the diagonal

    Raises:
        ValueError: another type, a batch, no discrete variable.

    Example:
        >>> from pyro_priors.distributions import Discrete, TensorRing, Variables
        >>> ring = TensorRing(torch.zeros(2, 2, 1, 1), Variables({"a": Discrete(2), "b": Discrete(2)}))
        >>> names, information = mutual_information(ring)
        >>> names, information.float()  # independent, log 2 nats each
        (('a', 'b'), tensor([[0.6931, 0.0000],
                             [0.0000, 0.6931]]))
    """
    joint = joint.base if isinstance(joint, FlowJoint) else joint  # whose attributes have the same law
    if not isinstance(joint, ChainLaw):
        raise ValueError(f"joint: expected a TensorRing or FactoredTrain, such as prior(), got {type(joint).__name__}")
    if joint.batch_shape:
        raise ValueError(f"joint: expected a law without batch dimensions, got batch shape {tuple(joint.batch_shape)}")
    names = tuple(name for name in joint.variables.names if _is_open_and_discrete(joint, name))
    if not names:
        raise ValueError(f"joint: expected a law with a discrete variable, got {joint.variables}")
    law, count = joint.marginal(names), len(names)
    nothing = torch.full((1, count), torch.nan, dtype=torch.float64, device=joint._chain.device)
    alone = law.state_probs(nothing)[0]  # (A, N)
    rows, states = alone.nonzero().unbind(-1)  # a state of probability 0 adds nothing, and cannot be given
    given = nothing.repeat(len(rows), 1).scatter(1, rows.unsqueeze(-1), states.unsqueeze(-1).to(nothing.dtype))
    conditional = law.state_probs(given)  # (R, A, N)
    divergence = (torch.special.xlogy(conditional, conditional) - torch.special.xlogy(conditional, alone)).sum(-1)
    weighted = alone[rows, states].unsqueeze(-1) * divergence
    information = alone.new_zeros(count, count).index_add(0, rows, weighted)
    return names, ((information + information.T) / 2).clamp(min=0).cpu()


def _is_open_and_discrete(joint: ChainLaw, name: str) -> bool:
    """Whether a name is that of one discrete variable that has been neither given nor summed out."""
    variables = joint.variables
    if not variables.is_single(name) or variables.is_continuous[variables.columns(name)[0]]:
        return False
    try:
        joint.marginal(name)
    except ValueError:
        return False
    return True


def _known_rows(probs: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """The rows whose truth is known, checked: `(k, K)` in float64 and `(k,)` as integers, on the CPU."""
    for name, value, dim, shape in (("probs", probs, 2, "(n, K)"), ("truth", truth, 1, "(n,)")):
        if not isinstance(value, Tensor) or value.dim() != dim or value.is_complex():
            got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"{name}: expected a tensor of real numbers of shape {shape}, got {got}")
    if len(probs) != len(truth) or probs.shape[1] == 0:
        raise ValueError(f"probs: expected shape ({len(truth)}, K) as truth has it, got {tuple(probs.shape)}")
    probs, truth = probs.detach().cpu().double(), truth.detach().cpu().double()
    known = ~truth.isnan()
    probs, truth, categories = probs[known], truth[known], probs.shape[1]
    wrong = (truth < 0) | (truth >= categories) | (truth != truth.floor())
    if wrong.any():
        row, got = int(known.nonzero()[wrong.nonzero()[0]]), float(truth[wrong][0])
        raise ValueError(f"truth: expected one of 0..{categories - 1} or NaN, got {got} in row {row}")
    total = probs.sum(-1)
    wrong = ~((probs >= 0).all(-1) & ((total - 1).abs() < 1e-3))  # NaN is wrong too
    if wrong.any():
        row, got = int(known.nonzero()[wrong.nonzero()[0]]), float(total[wrong][0])
        raise ValueError(f"probs: expected probabilities that sum to 1, got entries that sum to {got:.4g} in row {row}")
    return probs, truth.long()
