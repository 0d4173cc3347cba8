"""Write what TensorFlow makes of expressions that the tests evaluate with minicnn, too.

    python tests/oracles/make_tensorflow.py

It was run with TensorFlow 2.21.0 (CPU). It writes `tensorflow_names.json` beside itself: for each
expression in `tf`, `np` and the arrays below its value, shape and element type.
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent
#: Small arrays that the expressions name; multiples of 1/8, so that sums are exact.
ARRAYS = {
    "a": (np.arange(6).reshape(2, 3) * 0.5 - 1).astype("float32"),
    "b": (np.array([[3, 0, 1], [2, 5, 4]]) * 0.25).astype("float32"),
    "k": np.array([2, 0, 1]),
    "x": (np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3) * 37 % 101 / 8).astype("float32"),
    "i": (np.arange(3 * 5 * 3).reshape(3, 5, 3) * 29 % 256).astype("uint8"),
    "w": (np.arange(3 * 2 * 3 * 2).reshape(3, 2, 3, 2) * 7 % 11 / 8 - 0.5).astype("float32"),
}
EXPRESSIONS = """
tf.abs(a)
tf.add(a, b)
tf.add_n([a, b, a])
tf.argmax(b)
tf.argmax(b, axis=1)
tf.argmin(b, 1, output_type=tf.int32)
tf.broadcast_to(a[:1], (2, 3))
tf.cast(a, tf.int32)
tf.cast(b > 0.5, tf.float32)
tf.clip_by_value(a, -0.5, 1.0)
tf.concat([a, b], 0)
tf.concat([a, b], axis=-1)
tf.constant([1.0, 2.0])
tf.constant([1.0, 2.0], dtype=tf.float64)
tf.convert_to_tensor(a)
tf.equal(a, b)
tf.exp(a)
tf.expand_dims(a, -1)
tf.expand_dims(a, 0)
tf.eye(2, 3)
tf.fill([2, 3], 2.5)
tf.gather(a, k, axis=1)
tf.gather(b, [1, 0, 1])
tf.greater(a, b)
tf.greater_equal(a, b)
tf.identity(a)
tf.image.adjust_brightness(x, 0.25)
tf.image.adjust_contrast(x, 0.5)
tf.image.adjust_contrast(x[0], 2.0)
tf.image.central_crop(x, 0.25)
tf.image.central_crop(i, 0.5)
tf.image.convert_image_dtype(i, tf.float32)
tf.image.convert_image_dtype(tf.constant([[[0.0, 0.25, 1.0]]]), tf.uint8)
tf.image.flip_left_right(x)
tf.image.flip_up_down(i)
tf.image.resize(x, (3, 9))
tf.image.resize(x, [8, 4], method="nearest")
tf.image.resize(i, (6, 4))
tf.image.resize(i, (6, 10), method="nearest")
tf.image.rgb_to_grayscale(x)
tf.less(a, b)
tf.less_equal(a, b)
tf.linalg.matmul(a, tf.transpose(b))
tf.linspace(0.0, 1.0, 5)
tf.logical_and(a > 0, b > 0.5)
tf.logical_not(a > 0)
tf.logical_or(a > 0, b > 0.5)
tf.math.log(b + 1.0)
tf.math.reduce_mean(a)
tf.math.reduce_std(a, axis=0)
tf.math.reduce_variance(a, axis=1, keepdims=True)
tf.math.softplus(a)
tf.matmul(a, tf.transpose(b))
tf.maximum(a, b)
tf.minimum(a, 0.25)
tf.multiply(a, b)
tf.negative(a)
tf.nn.avg_pool2d(x, 2, 2, "VALID")
tf.nn.avg_pool2d(x, ksize=(2, 3), strides=(2, 3), padding="SAME")
tf.nn.bias_add(a, [1.0, 2.0, 3.0])
tf.nn.conv2d(x, w, 1, "SAME")
tf.nn.conv2d(x, w, strides=[1, 2, 3, 1], padding="VALID")
tf.nn.elu(a)
tf.nn.l2_loss(a)
tf.nn.leaky_relu(a)
tf.nn.leaky_relu(a, alpha=0.1)
tf.nn.max_pool2d(x, ksize=[1, 2, 3, 1], strides=[1, 2, 3, 1], padding="SAME")
tf.nn.max_pool2d(x, 2, 1, "VALID")
tf.nn.moments(x, axes=[0, 1, 2])[0]
tf.nn.moments(x, axes=[0, 1, 2])[1]
tf.nn.relu(a)
tf.nn.sigmoid(a)
tf.nn.sigmoid_cross_entropy_with_logits(labels=b, logits=a)
tf.nn.silu(a)
tf.nn.softmax(a)
tf.nn.softmax_cross_entropy_with_logits(labels=tf.one_hot([2, 0], 3), logits=a)
tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[2, 0], logits=a)
tf.nn.tanh(a)
tf.norm(a)
tf.norm(a, axis=1)
tf.not_equal(a, b)
tf.one_hot(k, 4)
tf.ones((2, 3))
tf.ones_like(a)
tf.pow(a, 2)
tf.range(5)
tf.range(1, 4)
tf.range(1.0, 2.0, 0.25)
tf.rank(x)
tf.reduce_all(b > 0.1, axis=1)
tf.reduce_any(b > 1.1, axis=0)
tf.reduce_max(a, axis=1)
tf.reduce_mean(a, axis=0, keepdims=True)
tf.reduce_mean(x, [1, 2])
tf.reduce_min(a)
tf.reduce_sum(a, 1)
tf.reshape(a, [-1, 2])
tf.shape(x)
tf.sign(a)
tf.size(x)
tf.split(b, 3, axis=1)[1]
tf.split(x, [2, 4], axis=2)[1]
tf.sqrt(b)
tf.square(a)
tf.squeeze(a[:, :1])
tf.stack([a, b], axis=1)
tf.stop_gradient(a)
tf.subtract(a, b)
tf.tanh(a)
tf.transpose(a)
tf.transpose(x, perm=[0, 3, 1, 2])
tf.where(a > 0, a, b)
tf.zeros([2, 3], tf.int32)
tf.zeros_like(a)
tf.constant(a) * 2.0 - b
tf.constant(a) @ tf.transpose(b)
-tf.constant(a)
tf.constant(a)[..., 1:]
tf.constant(a)[:, tf.newaxis]
tf.constant(a) > 0.25
tf.constant(a) == b
"""


def main():
    values = {}
    for line in EXPRESSIONS.split("\n"):
        if line:
            found = eval(line, {"tf": tf, "np": np, **ARRAYS}).numpy()
            entry = {"dtype": found.dtype.name, "shape": list(found.shape)}
            values[line] = {**entry, "values": np.asarray(found).ravel().tolist()}
    arrays = {
        name: {"dtype": array.dtype.name, "values": array.tolist()}
        for name, array in ARRAYS.items()
    }
    version = importlib.metadata.version("tensorflow-cpu")
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in values.items())
    text = (
        f'{{\n "tensorflow": "{version}",\n "arrays": {json.dumps(arrays)},\n'
        f' "expressions": {{\n{lines}\n }}\n}}\n'
    )
    (HERE / "tensorflow_names.json").write_text(text)


if __name__ == "__main__":
    main()
