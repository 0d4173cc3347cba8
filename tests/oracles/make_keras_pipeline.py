"""Write what Keras gives for augmentation, sampling, folders of images and small utilities.

Run it with a Python that has Keras 3, TensorFlow and Pillow:

    python tests/oracles/make_keras_pipeline.py

It was run with Python 3.11.7, NumPy 2.4.6, Keras 3.15.1 and TensorFlow 2.21.0 (CPU).  It writes,
beside itself, ``keras_pipeline.npz`` and ``.json``.  Neither is needed to run the tests.

affine      "affine/x" (N,H,W,C), "affine/transform" (N,8), and for each interpolation and fill mode
            "affine/<interpolation>-<mode>", with the fill value 7
layers      for each case its class, arguments and ids: "<id>/x" images, "<id>/m" masks,
            "<id>/<name>" the random numbers that Keras drew, "<id>/y" and "<id>/ym" the results
            with these; "range": least and largest value of the random numbers in 4000 draws;
            "off": results with training=False
folders     images of a folder of files "folder/<name>" (uint8) read with some options
utilities   lines of Python, in which U is keras.utils and np NumPy, and their results
"""

import io
import json
import os
import platform
import tempfile
import zipfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

HERE = Path(__file__).resolve().parent
MODES = ("constant", "nearest", "reflect", "wrap")

LAYERS = [
    ("RandomFlip", ["horizontal"], {}),
    ("RandomFlip", ["vertical"], {}),
    ("RandomTranslation", [0.4, 0.3], {}),
    ("RandomTranslation", [[-0.3, 0.1], [0.2, 0.5]], {"fill_mode": "constant", "fill_value": 5.0}),
    ("RandomTranslation", [0.9, 0.9], {"fill_mode": "wrap", "interpolation": "nearest"}),
    ("RandomRotation", [0.2], {}),
    ("RandomRotation", [[0.05, 0.4]], {"fill_mode": "nearest"}),
    ("RandomRotation", [1.0], {"fill_mode": "constant", "interpolation": "nearest"}),
    ("RandomZoom", [0.4], {}),
    ("RandomZoom", [[-0.5, -0.2], [0.1, 0.6]], {"fill_mode": "constant", "fill_value": 3.0}),
    ("RandomZoom", [0.3, 0.2], {"fill_mode": "wrap"}),
    ("RandomContrast", [0.4], {}),
    ("RandomContrast", [[0.2, 0.9]], {"value_range": [0, 20]}),
    ("RandomBrightness", [0.3], {}),
    ("RandomBrightness", [[-0.2, 0.6]], {"value_range": [0, 30]}),
]

CROPS = [
    ("CenterCrop", [4, 5], (7, 10)),
    ("CenterCrop", [3, 7], (6, 10)),
    ("CenterCrop", [9, 12], (6, 10)),
    ("CenterCrop", [4, 14], (7, 10)),
    ("CenterCrop", [7, 10], (7, 10)),
]

FOLDERS = [
    {},
    {"interpolation": "nearest"},
    {"crop_to_aspect_ratio": True},
    {"color_mode": "rgba"},
    {"label_mode": "categorical"},
    {"label_mode": "binary", "class_names": ["c", "a"]},
    {"label_mode": None},
    {"labels": [0, 1, 2, 3, 0, 1, 2, 3, 0]},
    {"class_names": ["b", "c", "a"], "validation_split": 0.3, "subset": "validation"},
    {"validation_split": 0.3, "subset": "training"},
]

UTILITIES = [
    "U.to_categorical([[1], [3], [0]])",
    "U.to_categorical([[1, 2], [3, 0]], 5)",
    "U.to_categorical([0.0, 2.7])",
    "U.normalize(np.array([[3., 4., 0.], [0., 0., 0.]]))",
    "U.normalize(np.array([[3., 4., 1.], [2., 0., 5.]]), order=3)",
    "U.normalize(np.array([[3., -4., 1.], [2., 0., 5.]]), order=np.inf)",
    "np.array(U.array_to_img(np.arange(18.).reshape(2, 3, 3) - 4))",
    "np.array(U.array_to_img(np.arange(18.).reshape(2, 3, 3) * 9, scale=False))",
    "np.array(U.array_to_img(np.full((2, 3, 1), 7.)))",
    "U.img_to_array(np.arange(6).reshape(2, 3))",
    *(
        "[[int(v) for v in d.as_numpy_iterator()] "
        f"for d in U.split_dataset(np.arange(11), {sizes})]"
        for sizes in (
            "0.75", "right_size=0.25", "3", "0.5, 0.2", "2, 3", "0.35", "0.5", "0.41, 4", "None, 10"
        )
    ),
]  # fmt: skip


def affine(arrays):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 64, (4, 5, 7, 2)).astype(np.float32)
    transform = np.zeros((4, 8), np.float32)
    transform[0] = [1, 0, 2.25, 0, 1, -1.5, 0, 0]
    transform[1] = [0.8, -0.6, 1.3, 0.6, 0.8, -0.7, 0, 0]
    transform[2] = [2.1, 0, -3.4, 0, 1.7, -2.6, 0, 0]
    transform[3] = [-1.3, 0.4, 9.7, 0.3, -1.1, 6.3, 0.02, -0.01]
    arrays["affine/x"], arrays["affine/transform"] = x, transform
    for interpolation in ("bilinear", "nearest"):
        for mode in MODES:
            arrays[f"affine/{interpolation}-{mode}"] = np.array(
                keras.ops.image.affine_transform(x, transform, interpolation, mode, 7)
            )


def numbers(transformation):
    return {
        name: np.array(value)
        for name, value in transformation.items()
        if hasattr(value, "shape") and name != "rotation_matrix"
    }


def augmentation(arrays):
    rng = np.random.default_rng(2)
    entries = []
    for index, (name, args, options) in enumerate(LAYERS):
        case = f"layer{index}"
        layer = getattr(keras.layers, name)(*args, **options, seed=index)
        x = rng.integers(0, 32, (3, 6, 9, 2)).astype(np.float32)
        m = rng.integers(0, 4, (3, 6, 9, 1)).astype(np.float32)
        layer.build(x.shape)
        drawn = layer.get_random_transformation(x, training=True)
        arrays[f"{case}/x"], arrays[f"{case}/m"] = x, m
        arrays[f"{case}/y"] = np.array(layer.transform_images(x, drawn, training=True))
        masks = layer.transform_segmentation_masks(m, drawn, training=True)
        arrays[f"{case}/ym"] = np.array(masks)
        arrays |= {f"{case}/{key}": value for key, value in numbers(drawn).items()}
        many = np.zeros((4000, 2, 3, 1), np.float32)
        ranges = {
            key: [float(np.min(value)), float(np.max(value))]
            for key, value in numbers(layer.get_random_transformation(many, training=True)).items()
        }
        off = bool((np.array(layer(x, training=False)) == x).all())
        entries.append(
            {
                "id": case,
                "layer": name,
                "args": args,
                "options": options,
                "range": ranges,
                "off": off,
            }
        )
    return entries


def crops(arrays):
    rng = np.random.default_rng(3)
    entries = []
    for index, (name, args, size) in enumerate(CROPS):
        case = f"crop{index}"
        layer = getattr(keras.layers, name)(*args)
        x = rng.integers(0, 32, (2, *size, 2)).astype(np.float32)
        arrays[f"{case}/x"] = x
        arrays[f"{case}/y"] = np.array(layer(x, training=False))
        entries.append({"id": case, "layer": name, "args": args})
    return entries


def folders(arrays):
    rng = np.random.default_rng(4)
    entries = []
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        for name, height, width, channels in (
            ("a/2.png", 9, 14, 3), ("a/10.png", 6, 5, 3), ("a/inner/0.png", 8, 8, 3),
            ("b/1.png", 4, 12, 3), ("b/0.png", 11, 7, 3), ("b/x.PNG", 5, 8, 3),
            ("c/0.png", 7, 7, 4), ("c/1.bmp", 10, 16, 3), ("c/3.png", 5, 9, 1),
        ):  # fmt: skip
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
            if channels == 4:
                pixels[..., 3] = 255
            Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path)
            arrays[f"folder/{name}"] = pixels
        (root / "a/notes.txt").touch()
        for index, options in enumerate(FOLDERS):
            data = keras.utils.image_dataset_from_directory(
                place, image_size=(5, 8), batch_size=None, shuffle=False, verbose=False, **options
            )
            elements = list(data.as_numpy_iterator())
            labelled = isinstance(elements[0], tuple)
            arrays[f"folder{index}/x"] = np.stack([e[0] if labelled else e for e in elements])
            if labelled:
                arrays[f"folder{index}/y"] = np.stack([e[1] for e in elements])
            files = [str(Path(p).relative_to(place)) for p in data.file_paths]
            names = getattr(data, "class_names", None)
            dtype = elements[0][1].dtype.name if labelled else None
            entry = {"options": options, "files": files, "class_names": names, "dtype": dtype}
            entries.append(entry)
        mixed = {}
        for seed in (0, 3, 12345):
            data = keras.utils.image_dataset_from_directory(place, seed=seed, verbose=False)
            mixed[seed] = [str(Path(p).relative_to(place)) for p in data.file_paths]
    return entries, mixed


def write_arrays(name, arrays):
    """Write arrays as np.savez_compressed does, but with the same bytes every time."""
    with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            member = zipfile.ZipInfo(f"{key}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, buffer.getvalue(), compresslevel=9)


def main():
    arrays = {}
    affine(arrays)
    lists = {"layers": augmentation(arrays), "crops": crops(arrays)}
    lists["folders"], mixed = folders(arrays)
    space = {"U": keras.utils, "np": np}
    lists["utilities"] = [
        {
            "code": code,
            "value": np.asarray(value).tolist() if not isinstance(value, list) else value,
        }
        for code in UTILITIES
        for value in [eval(code, space)]
    ]
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }
    parts = [f' "versions": {json.dumps(versions)}', f' "mixed": {json.dumps(mixed)}']
    for key, entries in lists.items():
        lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
        parts.append(f' "{key}": [\n{lines}\n ]')
    (HERE / "keras_pipeline.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")
    write_arrays("keras_pipeline.npz", arrays)


if __name__ == "__main__":
    main()
