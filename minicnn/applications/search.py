"""Image search: the images whose codes lie nearest to the code of a query."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn.errors import ArgumentError, ShapeError

__all__ = ["classify_by_neighbours", "nearest", "neighbour_class_share", "principal_components"]

Array = NDArray[Any]


def nearest(codes: Array, queries: Array, count: int = 5) -> tuple[Array, Array]:
    """Return the indices and distances of the codes nearest to each query, nearest first.

    distance = sqrt(sum of (code - query)**2) over all numbers of a code

    Args:
        codes: (N,...) of any shape.
        queries: (Q,...) of the same shape behind the first axis.
        count: neighbours for each query.

    Returns:
        Indices (Q,count) and distances (Q,count).

    Raises:
        ShapeError: codes and queries differ in shape.
        ArgumentError: there are fewer than `count` codes.

    >>> indices, distances = nearest(np.array([[0.0, 0], [3, 4], [6, 8]]), np.array([[3.0, 3]]), 2)
    >>> indices.tolist(), distances.round(2).tolist()
    ([[1, 0]], [[1.0, 4.24]])
    """
    if codes.shape[1:] != queries.shape[1:]:
        raise ShapeError(
            f"nearest: codes have shape {codes.shape[1:]}, but queries {queries.shape[1:]}."
        )
    if not 1 <= count <= len(codes):
        raise ArgumentError(
            f"nearest: count={count}, but there are {len(codes)} codes; give 1 to {len(codes)}."
        )
    flat = codes.reshape(len(codes), -1).astype(np.float64)  # (N,K)
    asked = queries.reshape(len(queries), -1).astype(np.float64)  # (Q,K)
    # |a - b|**2 = |a|**2 + |b|**2 - 2ab: one matrix product instead of N*Q differences.
    squares = (flat**2).sum(1)[None, :] + (asked**2).sum(1)[:, None] - 2 * asked @ flat.T  # (Q,N)
    indices = np.argsort(squares, axis=1, kind="stable")[:, :count]
    # The product loses digits where codes nearly agree, so the winners are measured anew.
    distances = np.linalg.norm(flat[indices] - asked[:, None, :], axis=2)
    return indices, distances


def neighbour_class_share(
    codes: Array, labels: Array, queries: Array, query_labels: Array, count: int = 5
) -> float:
    """Return the share of the nearest neighbours that have their query's class."""
    indices, _ = nearest(codes, queries, count)
    return float((labels[indices] == query_labels[:, None]).mean())


def principal_components(codes: Array, count: int = 2) -> Array:
    """Return the place of each code (N,count) along the directions in which codes differ most.

    Where there are fewer directions than `count`, as for a single code, the others are 0.
    """
    flat = codes.reshape(len(codes), -1).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(codes), count))
    places[:, : len(sizes)] = (left * sizes)[:, :count]
    return places


def classify_by_neighbours(codes: Array, labels: Array, queries: Array, count: int = 15) -> Array:
    """Return for each query the class that most of its nearest codes have.

    Where classes are equally frequent, the smallest number wins.

    Args:
        codes: (N,...) of any shape.
        labels: (N,), integers from 0.
        queries: (Q,...) of the same shape behind the first axis.
        count: neighbours for each query, default 15.

    Returns:
        Classes (Q,).

    Raises:
        ShapeError: codes and queries differ in shape.
        ArgumentError: there are fewer than `count` codes.

    >>> codes, labels = np.array([[0.0], [1.0], [9.0], [9.5], [10.0]]), np.array([4, 4, 7, 7, 7])
    >>> classify_by_neighbours(codes, labels, np.array([[2.0], [8.0]]), 3).tolist()
    [4, 7]
    """
    classes = int(labels.max()) + 1
    found = np.empty(len(queries), dtype=int)
    for begin in range(0, len(queries), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        votes = labels[nearest(codes, queries[part], count)[0]]  # (Q',count)
        found[part] = [np.bincount(row, minlength=classes).argmax() for row in votes]
    return found


#: Queries at a time: all distances of many queries to many codes would fill the memory.
_AT_ONCE = 256
