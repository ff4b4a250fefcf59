"""Whether single latents tell single factors of the data."""

import torch
from torch import Tensor

from pyro_priors.checks import check_count


def mutual_information_gap(latents: Tensor, factors: Tensor, bins: int = 20) -> float:
    """MIG: of each factor the information of the best latent minus that of the next, over its entropy; their mean.

    1 where every factor is known from one latent alone, 0 where any two tell as much. Latents are cut into `bins` of
    equal width; the mutual informations are those of the counts.

    References:
        Chen et al., "Isolating sources of disentanglement in variational autoencoders", 2018, eq. 6, arXiv:1802.04942;
        the bins are those of Locatello et al., 2019, arXiv:1811.12359.

    Args:
        latents: `(n, d)` with d >= 2, such as means of q(z given x).
        factors: `(n, F)`, states of each factor, NaN = missing: a factor counts over the rows where it is known.
        bins: of each latent, at least 2.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, a factor that never varies, or is never known.

    Example:
        >>> factors = torch.cartesian_prod(torch.arange(3), torch.arange(4))
        >>> round(mutual_information_gap(factors.flip(1).float(), factors), 6)
        1.0
        >>> round(mutual_information_gap(factors[:, [0, 0, 1, 1]].float(), factors), 6)
        0.0
    """
    matrices = latents.dim() == factors.dim() == 2
    if not matrices or len(latents) != len(factors) or latents.shape[1] < 2 or len(latents) < 2:
        raise ValueError(
            "latents, factors: expected shapes (n, d) and (n, F) with n, d >= 2, got "
            f"{tuple(latents.shape)} and {tuple(factors.shape)}"
        )
    if not latents.isfinite().all() or factors.isinf().any():
        raise ValueError("latents, factors: expected finite values, or NaN = missing in factors, got NaN or infinity")
    check_count("bins", bins, least=2)
    known = ~factors.isnan().cpu()
    for index, (factor, rows) in enumerate(zip(factors.T.cpu(), known.T, strict=True)):
        if not rows.any():
            raise ValueError(f"factors: expected each to be known somewhere, got NaN alone in column {index}")
        if bool((factor[rows] == factor[rows][0]).all()):
            raise ValueError(f"factors: expected each to vary, got one that never does (column {index})")
    from sklearn.metrics import mutual_info_score  # here, since it takes a second to import

    latents = latents.double()
    low, high = latents.min(0).values, latents.max(0).values
    shares = (latents - low) / (high - low).clamp(min=torch.finfo(latents.dtype).tiny)
    cells = (bins * shares).long().clamp(max=bins - 1).T.cpu().numpy()
    gaps = []
    for column, rows in zip(factors.T.cpu().numpy(), known.T.numpy(), strict=True):
        factor = column[rows]
        information = sorted((mutual_info_score(factor, cell[rows]) for cell in cells), reverse=True)
        gaps.append((information[0] - information[1]) / mutual_info_score(factor, factor))
    return float(sum(gaps) / len(gaps))
