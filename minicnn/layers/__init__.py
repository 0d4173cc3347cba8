"""Layers: weights around operations, under Keras' names and defaults."""

from minicnn.layers.augmentation import RandomFlip, RandomRotation, RandomTranslation, RandomZoom
from minicnn.layers.base import Layer
from minicnn.layers.convolution import Conv2D, Conv2DTranspose
from minicnn.layers.core import (
    Activation,
    Add,
    Concatenate,
    Dense,
    Dropout,
    GaussianNoise,
    Input,
    InputLayer,
    ReLU,
)
from minicnn.layers.cropping import CenterCrop, RandomCrop
from minicnn.layers.light import RandomBrightness, RandomContrast
from minicnn.layers.normalization import BatchNormalization
from minicnn.layers.pooling import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)
from minicnn.layers.reshaping import Cropping2D, Flatten, Reshape, UpSampling2D, ZeroPadding2D

__all__ = [
    "Activation",
    "Add",
    "AveragePooling2D",
    "BatchNormalization",
    "CenterCrop",
    "Concatenate",
    "Conv2D",
    "Conv2DTranspose",
    "Cropping2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Layer",
    "MaxPool2D",
    "MaxPooling2D",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "Reshape",
    "UpSampling2D",
    "ZeroPadding2D",
]
