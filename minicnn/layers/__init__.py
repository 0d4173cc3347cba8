"""Layers: weights around operations, under Keras' names and defaults."""

from minicnn.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from minicnn.layers.augmentation import RandomFlip, RandomRotation, RandomTranslation, RandomZoom
from minicnn.layers.base import Layer
from minicnn.layers.convolution import Conv1D, Conv2D
from minicnn.layers.core import ActivityRegularization, Dense, Identity, Input, InputLayer, Lambda
from minicnn.layers.cropping import CenterCrop, RandomCrop
from minicnn.layers.light import RandomBrightness, RandomContrast
from minicnn.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from minicnn.layers.noise import (
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
)
from minicnn.layers.normalization import BatchNormalization, LayerNormalization, UnitNormalization
from minicnn.layers.operation import Operation
from minicnn.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from minicnn.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from minicnn.layers.resizing import (
    Cropping1D,
    Cropping2D,
    Rescaling,
    Resizing,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from minicnn.layers.separable import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from minicnn.layers.transposed import Conv1DTranspose, Conv2DTranspose

# Keras' other names for the same layers.
MaxPool1D = MaxPooling1D
AvgPool1D = AveragePooling1D
GlobalMaxPool1D = GlobalMaxPooling1D
GlobalAvgPool1D = GlobalAveragePooling1D
Convolution1D = Conv1D
Convolution1DTranspose = Conv1DTranspose
SeparableConvolution1D = SeparableConv1D
MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
Convolution2D = Conv2D
Convolution2DTranspose = Conv2DTranspose
SeparableConvolution2D = SeparableConv2D

__all__ = ["ELU", "Activation", "ActivityRegularization", "Add", "Average",
           "AveragePooling1D", "AveragePooling2D", "AvgPool1D", "AvgPool2D",
           "BatchNormalization", "CenterCrop", "Concatenate", "Conv1D",
           "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Convolution1D",
           "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose",
           "Cropping1D", "Cropping2D", "Dense", "DepthwiseConv1D", "DepthwiseConv2D",
           "Dot", "Dropout", "Flatten", "GaussianDropout", "GaussianNoise",
           "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAvgPool1D",
           "GlobalAvgPool2D", "GlobalMaxPool1D", "GlobalMaxPool2D",
           "GlobalMaxPooling1D", "GlobalMaxPooling2D", "Identity", "Input",
           "InputLayer", "Lambda", "Layer", "LayerNormalization", "LeakyReLU",
           "MaxPool1D", "MaxPool2D", "MaxPooling1D", "MaxPooling2D", "Maximum",
           "Minimum", "Multiply", "Operation", "PReLU", "Permute", "RandomBrightness",
           "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation",
           "RandomTranslation", "RandomZoom", "ReLU", "RepeatVector", "Rescaling",
           "Reshape", "Resizing", "SeparableConv1D", "SeparableConv2D",
           "SeparableConvolution1D", "SeparableConvolution2D", "Softmax",
           "SpatialDropout1D", "SpatialDropout2D", "Subtract", "UnitNormalization",
           "UpSampling1D", "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D", "add",
           "average", "concatenate", "dot", "maximum", "minimum", "multiply",
           "subtract"]  # fmt: skip
