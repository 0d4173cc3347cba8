"""Networks put to work: autoencoders, denoising, image search, classifiers, segmentation."""

from minicnn.applications.cell_autoencoder import cell_autoencoder, encoder_of
from minicnn.applications.classifiers import image_classifier, residual_classifier
from minicnn.applications.denoising import add_noise, psnr
from minicnn.applications.digit_autoencoder import digit_autoencoder
from minicnn.applications.runs import PRESETS, Settings, TrainingRun, load_model
from minicnn.applications.search import nearest
from minicnn.applications.sparse_autoencoder import sparse_autoencoder
from minicnn.applications.unet import unet
from minicnn.applications.variational_autoencoder import variational_autoencoder
from minicnn.applications.vgg16 import VGG16
from minicnn.errors import suggest_attributes

__all__ = ["PRESETS", "VGG16", "Settings", "TrainingRun", "add_noise",
           "cell_autoencoder", "digit_autoencoder", "encoder_of", "image_classifier",
           "load_model", "nearest", "psnr", "residual_classifier",
           "sparse_autoencoder", "unet", "variational_autoencoder"]  # fmt: skip

suggest_attributes(__name__)
