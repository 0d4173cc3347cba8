"""Write what TensorFlow's tf.data gives for the pipelines that the tests compare against.

Run it with a Python that has TensorFlow:

    python tests/oracles/make_tf_data.py

It was run with Python 3.11.7, NumPy 2.4.6 and TensorFlow 2.21.0 (CPU).  It writes, beside itself,
``tf_data.json``.  TensorFlow is not needed to run the tests.

Each case is a line of Python in which D is the class of data sets, np is NumPy and R a generator of
lists of growing length; the tests run the same line with their own D.  "elements" are the results
of ``as_numpy_iterator`` as nested lists, tuples marked by a first entry "tuple"; "cardinality" is
the number of elements as TensorFlow states it.
"""

import json
import platform
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent

CASES = [
    "D.range(7)",
    "D.range(3, 12, 4)",
    "D.range(5, 0, -2)",
    "D.range(0)",
    "D.from_tensor_slices([[1, 2, 3], [4, 5, 6]])",
    "D.from_tensor_slices(([1, 2, 3], {'a': [4., 5., 6.], 'b': ([7, 8, 9],)}))",
    "D.from_tensors(([1, 2], 3))",
    "D.from_tensor_slices(['a', 'bc'])",
    "D.from_tensor_slices(['a', 'bc', 'd']).batch(2)",
    "D.range(7).batch(3)",
    "D.range(7).batch(3, drop_remainder=True)",
    "D.range(2).batch(3, drop_remainder=True)",
    "D.range(7).batch(2).batch(3)",
    "D.range(7).batch(3).repeat(2)",
    "D.range(7).repeat(2).batch(3)",
    "D.range(7).repeat(2).batch(3, True)",
    "D.range(3).repeat(0)",
    "D.range(3).repeat(-1).take(7)",
    "D.range(3).repeat().skip(2).take(5)",
    "D.range(0).repeat()",
    "D.range(7).take(3)",
    "D.range(7).take(-1)",
    "D.range(7).take(0)",
    "D.range(7).take(9)",
    "D.range(7).skip(3)",
    "D.range(7).skip(9)",
    "D.range(7).skip(-1)",
    "D.range(10).shard(3, 0)",
    "D.range(10).shard(3, 1)",
    "D.range(10).shard(3, 2)",
    "D.range(2).shard(3, 2)",
    "D.range(2).concatenate(D.range(5, 8))",
    "D.range(3).repeat().concatenate(D.range(1)).take(5)",
    "D.range(3).enumerate(5)",
    "D.range(3).batch(2).enumerate()",
    "D.zip((D.range(3), D.range(5, 10)))",
    "D.zip(D.range(3), D.range(2), D.range(4))",
    "D.zip({'a': D.range(3).repeat(), 'b': (D.range(5).batch(2),)})",
    "D.zip((D.range(3), D.zip((D.range(2), D.range(7)))))",
    "D.range(4).filter(lambda x: x % 2 == 1)",
    "D.range(4).filter(lambda x: x > 1).batch(2)",
    "D.range(4).map(lambda x: x * x)",
    "D.range(4).map(lambda x: (x, x + 1)).map(lambda a, b: a * b)",
    "D.range(4).map(lambda x: [x, x + 1])",
    "D.range(4).map(lambda x: {'x': x, 'y': (x, 2 * x)}).batch(3)",
    "D.range(4).enumerate().map(lambda i, x: i - 2 * x)",
    "D.range(9).map(lambda x: x * x, num_parallel_calls=3)",
    "D.range(6).flat_map(lambda x: D.from_tensors(x).repeat(x))",
    "D.range(5).interleave(lambda x: D.from_tensors(x).repeat(6), cycle_length=2, block_length=4)",
    "D.range(7).interleave(lambda x: D.from_tensors(x).repeat(x), cycle_length=3, block_length=2)",
    "D.range(7).interleave(lambda x: D.range(x), cycle_length=4, block_length=1)",
    "D.range(2).interleave(lambda x: D.range(x + 2), cycle_length=5, block_length=3)",
    "D.range(6).interleave(lambda x: D.range(5 - x), cycle_length=1, block_length=3)",
    "D.range(7).window(3, 2, 1, False).flat_map(lambda w: w.batch(3))",
    "D.range(9).window(3, None, 2, True).flat_map(lambda w: w.batch(3))",
    "D.range(9).window(2, 5).flat_map(lambda w: w.batch(2))",
    "D.range(9).window(4, 1, 3).flat_map(lambda w: w.batch(4))",
    "D.range(4).map(lambda x: (x, -x)).window(3, 1, 1, True)"
    ".flat_map(lambda a, b: D.zip((a.batch(3), b.batch(3))))",
    "D.range(5).batch(2).unbatch()",
    "D.range(5).batch(2, drop_remainder=True).unbatch()",
    "D.from_tensor_slices(([[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [0, 1, 2]])).unbatch()",
    "D.range(6).batch(2).map(lambda x: x + 1).unbatch().batch(4)",
    "D.range(7).take_while(lambda x: x < 4)",
    "D.range(7).cache().repeat(2)",
    "D.range(5).prefetch(2).batch(2)",
    "D.range(7).apply(lambda d: d.batch(3))",
    "D.from_generator(lambda: iter([1, 2, 3]), output_types='int32')",
    "D.from_generator(lambda: iter([(1, [2.]), (3, [4., 5.])]), "
    "('int32', 'float32'), ([], [None]))",
    "D.from_generator(lambda n: iter(range(n)), output_types='int64', args=(4,))",
    "D.from_generator(R, output_types='int64', output_shapes=[None]).padded_batch(2)",
    "D.from_generator(R, output_types='int64', output_shapes=[None])"
    ".padded_batch(3, 5, np.int64(-1))",
    "D.from_generator(R, output_types='int64', output_shapes=[None])"
    ".padded_batch(3, padded_shapes=[None], drop_remainder=True)",
    "D.from_generator(R, output_types='int64', output_shapes=[None]).map(lambda x: (x, 2 * x))"
    ".padded_batch(2, padded_shapes=([6], [None]), padding_values=(np.int64(7), np.int64(8)))",
    "D.range(10).shuffle(1)",
    "D.range(6).batch(2).repeat(2).enumerate().skip(1).take(4).batch(3)",
]  # fmt: skip


def growing():
    """Yield lists of growing length."""
    for n in range(5):
        yield list(range(n, 2 * n))


def plain(element):
    """Return an element as JSON can hold it."""
    if isinstance(element, tuple):
        return ["tuple", *map(plain, element)]
    if isinstance(element, dict):
        return {key: plain(part) for key, part in element.items()}
    if isinstance(element, bytes):
        return element.decode()
    if np.asarray(element).dtype.kind == "O":
        return [part.decode() for part in element]
    return np.asarray(element).tolist()


def main():
    names = {"D": tf.data.Dataset, "np": np, "R": growing}
    entries = []
    for code in CASES:
        data = eval(code, names)
        finite = int(data.cardinality()) != tf.data.INFINITE_CARDINALITY
        elements = [plain(e) for e in data.as_numpy_iterator()] if finite else None
        entry = {"code": code, "elements": elements, "cardinality": int(data.cardinality())}
        entries.append(entry)
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "tensorflow": tf.__version__,
    }
    lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
    text = f'{{\n "versions": {json.dumps(versions)},\n "cases": [\n{lines}\n ]\n}}\n'
    (HERE / "tf_data.json").write_text(text)


if __name__ == "__main__":
    main()
