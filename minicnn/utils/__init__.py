"""What stands around training: labels, seeds, single images, folders of images, splits."""

from minicnn.data.py_dataset import PyDataset
from minicnn.utils.arrays import normalize, set_random_seed, split_dataset, to_categorical
from minicnn.utils.image_folder import image_dataset_from_directory
from minicnn.utils.images import array_to_img, img_to_array, load_img, save_img

#: The older name.
Sequence = PyDataset

__all__ = [
    "PyDataset", "Sequence", "array_to_img", "image_dataset_from_directory", "img_to_array",
    "load_img", "normalize", "save_img", "set_random_seed", "split_dataset", "to_categorical",
]  # fmt: skip
