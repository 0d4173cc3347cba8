"""Write what TensorFlow makes of expressions that the tests evaluate with minicnn, too.

    python tests/oracles/make_tensorflow.py

It was run with TensorFlow 2.21.0 (CPU). It writes `tensorflow_names.json` beside itself: for each
expression in `tf`, `np` and the arrays below its value, shape and element type, and what
`tf.io.decode_png` makes of small files.
"""

import base64
import importlib.metadata
import json
import struct
import zlib
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
    "j": (np.arange(3 * 5 * 3).reshape(3, 5, 3) * 7919 % 65536).astype("uint16"),
    "s": (np.arange(3 * 5 * 3).reshape(3, 5, 3) * 7919 % 65536 - 32768).astype("int16"),
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
tf.image.adjust_brightness(i, 0.1)
tf.image.adjust_brightness(i, -0.3)
tf.image.adjust_brightness(j, 0.1)
tf.image.adjust_brightness(s, 0.6)
tf.image.adjust_contrast(x, 0.5)
tf.image.adjust_contrast(i, 2.0)
tf.image.adjust_contrast(i, 0.5)
tf.image.adjust_contrast(j, 3.0)
tf.image.adjust_contrast(s, 1.5)
tf.image.adjust_contrast(x[0], 2.0)
tf.image.central_crop(x, 0.25)
tf.image.central_crop(i, 0.5)
tf.image.convert_image_dtype(i, tf.float32)
tf.image.convert_image_dtype(tf.constant([[[0.0, 0.25, 1.0]]]), tf.uint8)
tf.image.convert_image_dtype(tf.constant([[[-0.5, 0.25, 1.5]]]), tf.uint8, saturate=True)
tf.image.convert_image_dtype(tf.constant([[[-1.5, 0.25, 1.5]]]), tf.int16, saturate=True)
tf.image.convert_image_dtype(tf.constant([[[-1.5, 0.25, 1.5]]]), tf.int32, saturate=True)
tf.image.convert_image_dtype(i, tf.uint16)
tf.image.convert_image_dtype(i, tf.int32)
tf.image.convert_image_dtype(j, tf.uint8)
tf.image.convert_image_dtype(j, tf.float32)
tf.image.convert_image_dtype(s, tf.uint8, saturate=True)
tf.image.convert_image_dtype(s, tf.float32)
tf.image.flip_left_right(x)
tf.image.grayscale_to_rgb(tf.constant(i[..., :1]))
tf.image.per_image_standardization(x)
tf.image.per_image_standardization(i)
tf.image.per_image_standardization(i * 0 + 3)
tf.image.psnr(x, x[..., ::-1], 12.0)
tf.image.psnr(i, i[::-1], 255)
tf.image.psnr(j, j[::-1], 65535)
tf.image.flip_up_down(i)
tf.image.resize(x, (3, 9))
tf.image.resize(x, [8, 4], method="nearest")
tf.image.resize(i, (6, 4))
tf.image.resize(i, (6, 10), method="nearest")
tf.image.resize_with_pad(x, 6, 5)
tf.image.resize_with_pad(i, 7, 4)
tf.image.resize_with_pad(i, 4, 9, method="nearest")
tf.image.resize_with_pad(i, 2, 3)
tf.image.rgb_to_grayscale(x)
tf.image.rgb_to_grayscale(i)
tf.image.rgb_to_grayscale(j)
tf.image.rot90(x)
tf.image.rot90(i, 2)
tf.image.rot90(i, k=3)
tf.image.rot90(i, 4)
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

#: PNG files' bits of one number and kind: 0 grey, 2 colours, 4 and 6 these with opacity.
PNG_FILES = [(16, 0), (16, 2), (16, 4), (16, 6), (8, 0), (8, 2), (8, 4), (8, 6), (4, 0), (2, 0)]


def png_file(bits, kind):
    """The bytes of a PNG file of 2 x 3 pixels, put together by hand."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    pixels = (np.arange(6 * channels).reshape(2, 3, channels) * 40503 + 12345) % 2**bits
    places = pixels[..., None] >> np.arange(bits - 1, -1, -1) & 1
    rows = np.packbits(places.reshape(2, -1).astype("uint8"), axis=1)
    data = np.concatenate([np.zeros((2, 1), "uint8"), rows], axis=1).tobytes()

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", 3, 2, bits, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def decoded():
    """What decode_png makes of these files, with every type and number of channels.

    Left out is opacity that a file of fewer than 8 bits does not have: TensorFlow 2.21.0 gives the
    largest number of these few bits, which means nearly clear, instead of 255.
    """
    found = []
    for bits, kind in PNG_FILES:
        contents = png_file(bits, kind)
        for dtype in ("uint8", "uint16"):
            for channels in (0, 1, 3, 4)[: 4 if bits >= 8 else 3]:
                y = tf.io.decode_png(contents, channels=channels, dtype=dtype).numpy()
                found.append({
                    "file": base64.b64encode(contents).decode(), "dtype": dtype,
                    "channels": channels, "shape": list(y.shape), "values": y.ravel().tolist(),
                })  # fmt: skip
    return found


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
    files = ",\n".join(f"  {json.dumps(case)}" for case in decoded())
    text = (
        f'{{\n "tensorflow": "{version}",\n "arrays": {json.dumps(arrays)},\n'
        f' "expressions": {{\n{lines}\n }},\n'
        f' "png": [\n{files}\n ]\n}}\n'
    )
    (HERE / "tensorflow_names.json").write_text(text)


if __name__ == "__main__":
    main()
