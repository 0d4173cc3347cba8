#!/usr/bin/env bash
# TensorFlow 2.21.0 gives opaque PNG files of 1, 2 and 4 bits an opacity of 1, 3 and 15 of 255.
#
# A drawing or a class mask of up to 16 colours is written by Pillow with so few bits for each pixel.
# Decoded with channels=4 it should be opaque, 255; put on a background by that opacity it vanishes.
# The same picture of 8 bits is opaque. Exits with 0 while this is so, with 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorflow-cpu==2.21.0 pillow==13.0.0 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import numpy as np
import tensorflow as tf
from PIL import Image

print("TensorFlow", tf.__version__)
found = {}
for colours, bits in ((2, 1), (4, 2), (16, 4), (17, 8)):
    mask = Image.fromarray(np.arange(colours, dtype=np.uint8).reshape(1, -1), "P")
    mask.putpalette([90 + i for i in range(3 * colours)])
    file = io.BytesIO()
    mask.save(file, "PNG")
    assert file.getvalue()[24] == bits  # as the file's header says
    opacity = np.unique(tf.io.decode_png(file.getvalue(), channels=4)[..., 3])
    found[bits] = opacity.tolist()
    print(f"{bits} bits for each pixel: opacity {found[bits]} of 255")
sys.exit(found != {1: [1], 2: [3], 4: [15], 8: [255]})
PYTHON
