"""Places of codes on a plane: what the network finds alike lies together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.applications.search import principal_components
from minicnn.errors import ArgumentError, BackendError, ShapeError, check_choice

__all__ = ["METHODS", "latent_places", "spaced"]

Array = NDArray[Any]

#: What each way of laying codes out is called.
METHODS = {"pca": "PCA", "tsne": "t-SNE", "isomap": "Isomap"}


def latent_places(codes: Array, method: str = "pca", *, neighbours: int | None = None) -> Array:
    """Return a place on the plane (N,2) for each code.

    `"pca"` looks at the codes from the side on which they differ most, so that straight lines stay
    straight. `"isomap"` keeps distances along the ways from neighbour to neighbour. `"tsne"` keeps
    neighbours together, and says nothing about distances between groups; it starts from PCA's
    places, so that it repeats exactly.

    Args:
        codes: (N,...) of any shape.
        method: `"pca"`, `"tsne"` or `"isomap"`; the last two need scikit-learn.
        neighbours: about so many codes count as a code's neighbours: t-SNE's perplexity, default
            30, or Isomap's number of neighbours, default 10; below N.

    Raises:
        ArgumentError: the method is not known, or there are too few codes for it.
        BackendError: scikit-learn is not installed.

    Source: L. van der Maaten and G. Hinton, Visualizing Data using t-SNE, 2008; J. Tenenbaum et
    al., A Global Geometric Framework for Nonlinear Dimensionality Reduction, 2000, for Isomap.

    >>> places = latent_places(np.array([[0.0, 0, 5], [0, 3, 5], [0, 6, 5]]))
    >>> abs(places).round(6).tolist()
    [[3.0, 0.0], [0.0, 0.0], [3.0, 0.0]]
    """
    method = check_choice("latent_places", "method", method, METHODS)
    flat = np.asarray(codes).reshape(len(codes), -1)  # (N,K)
    if method == "pca":
        if neighbours is not None:
            raise ArgumentError(
                f"latent_places: neighbours={neighbours}, but PCA knows none; leave it out."
            )
        return principal_components(flat)
    near = neighbours or {"tsne": 30, "isomap": 10}[method]
    if not 1 <= near < len(flat):
        raise ArgumentError(
            f"latent_places: neighbours={near} of method={method!r} must be from 1 to "
            f"{len(flat) - 1}, as there are {len(flat)} codes."
        )
    try:
        from sklearn.manifold import TSNE, Isomap
    except ImportError:
        raise BackendError(
            f"latent_places: method={method!r} needs scikit-learn; install it with "
            f"`pip install minicnn[latent]`, or use 'pca'."
        ) from None
    if method == "tsne":
        return TSNE(perplexity=near, random_state=0).fit_transform(flat)
    return Isomap(n_neighbors=near).fit_transform(flat)


def spaced(places: Array, apart: float, count: int | None = None) -> Array:
    """Return the indices of places of which no two are nearer than `apart` on both axes.

    Places are taken in their order: the first one always, each other one where there is room.
    Squares with sides of `apart` around the chosen places do not overlap.

    Args:
        places: (N,2).
        apart: above 0, in the unit of the places.
        count: at most so many; default all that fit.

    Raises:
        ShapeError: the places are no (N,2).
        ArgumentError: `apart` is not above 0.

    >>> spaced(np.array([[0.0, 0.0], [0.5, 0.9], [0.5, 1.0], [3.0, 0.0]]), 1.0).tolist()
    [0, 2, 3]
    """
    if places.ndim != 2 or places.shape[1] != 2:
        raise ShapeError(f"spaced: places have shape {places.shape}, but must be (N,2).")
    if not apart > 0:
        raise ArgumentError(f"spaced: apart={apart!r}, but it must be above 0.")
    chosen: list[int] = []
    for i, place in enumerate(places):
        if count is not None and len(chosen) >= count:
            break
        away = np.abs(places[chosen] - place).max(axis=1)  # (chosen,)
        if (away >= apart).all():
            chosen.append(i)
    return np.array(chosen, dtype=int)
