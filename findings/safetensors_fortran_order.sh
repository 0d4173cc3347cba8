#!/usr/bin/env bash
# safetensors 0.8.0 (with NumPy 2.4.6) writes an array that lies in memory column by column as it lies
# there, under the shape that it has: read back, a (2, 3) array holds the same numbers in other places.
# Nothing is raised or warned of. Versions 0.7.0 and before write it rightly. The same happens to any
# view that is not contiguous, such as every second column, or a transposed array.
#
# minicnn makes each array contiguous before it is written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

seen() { # VERSION: what comes back of [[0 1 2] [3 4 5]] in Fortran order, and of its transpose
  python3 -m venv "$folder/$1"
  "$folder/$1/bin/pip" install -q "safetensors==$1" numpy==2.4.6
  "$folder/$1/bin/python" -W error - <<'PY'
import numpy as np
from safetensors.numpy import load, save

rows = np.arange(6, dtype="float32").reshape(2, 3)
back = load(save({"columns": np.asfortranarray(rows), "turned": rows.T}))
print([back[name].astype(int).tolist() for name in ("columns", "turned")])
PY
}

right='[[[0, 1, 2], [3, 4, 5]], [[0, 3], [1, 4], [2, 5]]]'
wrong='[[[0, 3, 1], [4, 2, 5]], [[0, 1], [2, 3], [4, 5]]]'
test "$(seen 0.7.0)" = "$right" || { echo 'safetensors 0.7.0 does otherwise than described'; exit 1; }
test "$(seen 0.8.0)" = "$wrong" || { echo 'safetensors 0.8.0 does otherwise than described'; exit 1; }
echo 'as described: safetensors 0.8.0 scrambles arrays in Fortran order, 0.7.0 does not'
