"""EBGAN's pull-away term: a generator whose images lie in all directions, by the codes that its critic gives them."""

from torch import Tensor
from torch.nn.functional import normalize


def pull_away(codes: Tensor) -> Tensor:
    """The mean squared cosine between the codes of two different examples of a batch.

    ``f = 1/(n (n - 1)) sum_i sum_{j != i} (s_i . s_j / |s_i| |s_j|)^2``: 1 where all codes lie on one line, 0 where any
    two are orthogonal, which n > d codes cannot be: uniform directions have 1/d. A code of zeros is orthogonal to all.

    Cost: O(n d min(n, d)) time.

    Shapes:
        ``(n, d) -> ()``, n at least 2

    References:
        Zhao, Mathieu, LeCun, "Energy-based generative adversarial network", 2016, section 2.4, arXiv:1609.03126.

    Args:
        codes: of a batch of generated images, as the encoder of the critic gives them.

    Raises:
        ValueError: another shape, or fewer than two codes.

    Example:
        >>> import torch
        >>> pull_away(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))  # one pair of three on a line
        tensor(0.3333)
    """
    if codes.dim() != 2 or len(codes) < 2:
        raise ValueError(f"codes: expected shape (n, d) with n of at least 2, got {tuple(codes.shape)}")
    n, d = codes.shape
    rows = normalize(codes, dim=-1)
    gram = rows @ rows.T if n <= d else rows.T @ rows  # of equal squared length
    own = rows.square().sum(-1).square().sum()  # each with itself: 1, of zeros 0
    return (gram.square().sum() - own) / (n * (n - 1))
