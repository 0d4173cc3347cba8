"""Find the nuclei of cells with a fully convolutional network on the base of a classifier, VGG16.

    python examples/fcn_nuclei.py [--data FOLDER] [--weights FILE]

With a file of VGG16's published weights, or where Keras keeps one, the base is frozen and only the
scores of its pools and the enlargements are learned. Without one the base is a thin VGG16 of random
weights, which learns as well.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import Example
from unet_nuclei import PATCH, batches_of, load_nuclei, steps_of

from minicnn import Model, optimizers
from minicnn.applications.fcn import fcn, segment
from minicnn.applications.masks import draw_masks, intersection_over_union
from minicnn.applications.vgg16 import VGG16, preprocess_input, weights_file


def network(weights: Path | None) -> Model:
    """Return the network, on a frozen base if there are weights for it."""
    if weights is None:
        return fcn()
    return fcn(base=VGG16(include_top=False, weights=weights))


def with_weights(parser: argparse.ArgumentParser) -> None:
    """Add the option of the base's weights."""
    parser.add_argument("--weights", type=Path, help="VGG16's weights without its dense layers")


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, draw; return the figures."""
    example = Example(__doc__, "fcn_nuclei", argv, epochs=16, options=with_weights)
    images, masks, test = load_nuclei(example)
    weights = example.options.weights or weights_file(include_top=False)
    print(f"base: VGG16 of {weights}, frozen" if weights else "base: a thin VGG16, learned as well")
    coloured = np.repeat(images, 3, axis=-1)
    prepared = preprocess_input(255 * coloured) if weights else 2 * coloured - 1

    model, epochs = network(weights), example.epochs()
    size = min(PATCH, *(n // 32 * 32 for n in images.shape[1:3]))
    rate = optimizers.CosineDecay(3e-3, epochs * steps_of(images[~test], size))
    model.compile(optimizers.Adam(rate), "binary_crossentropy")
    data = batches_of(prepared[~test], masks[~test], size, example.seed)
    began = time.perf_counter()
    model.fit(data, epochs=epochs)
    seconds = time.perf_counter() - began

    predicted = segment(model, prepared[test])
    odd = segment(model, prepared[test][:1, :-19, :-45])  # no multiple of 32
    figures = {
        "mean IoU, FCN": float(intersection_over_union(masks[test], predicted).mean()),
        "IoU of one image cut to an odd size": float(
            intersection_over_union(masks[test][:1, :-19, :-45], odd)[0]
        ),
    }
    example.say_all(figures, seconds)
    shown = slice(0, 4)
    brighter = images[test][shown] ** 0.5  # as dim as they are, little could be seen
    example.picture(draw_masks(brighter, masks[test][shown], predicted[shown]), "masks.png")
    return figures


if __name__ == "__main__":
    main()
