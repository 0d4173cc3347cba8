"""The input pipeline: `Dataset`, in the manner of TensorFlow's tf.data."""

from minicnn.data.core import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY
from minicnn.data.dataset import Dataset
from minicnn.data.structure import TensorSpec

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Dataset", "TensorSpec"]
