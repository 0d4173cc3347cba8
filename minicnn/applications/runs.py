"""Runs: a cell autoencoder trained into a folder, from which it can be continued and used.

A run's folder holds

    settings.json           what was asked for
    training.safetensors    everything after the last finished epoch, to continue from
    model.safetensors       the weights alone
    loss.png, ...           pictures
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minicnn import config
from minicnn.applications.augmentation import cell_changes
from minicnn.applications.cell_autoencoder import cell_autoencoder, displaced_by
from minicnn.applications.denoising import NoisyBatches, add_noise, check_noise, psnr
from minicnn.callbacks import BackupAndRestore, Callback, ModelCheckpoint, TerminateOnNaN
from minicnn.errors import ArgumentError, DataError, check_choice
from minicnn.files import make_folder, replacing
from minicnn.images import Ranges
from minicnn.layers import Layer, RandomFlip
from minicnn.metrics import MeanMetricWrapper
from minicnn.models import Model
from minicnn.optimizers import Adam, CosineDecay
from minicnn.saving.safetensors import read_arrays

__all__ = [
    "CHANGES", "PRESETS", "SPLITS", "Settings", "TrainingRun", "epochs_done", "fitting_scale",
    "load_model", "load_settings", "preset",
]  # fmt: skip

Array = NDArray[Any]

SETTINGS, BACKUP, WEIGHTS = "settings.json", "training.safetensors", "model.safetensors"


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do.

    Args:
        image_size: height and width to which images are resized, in pixels.
        filters: channels of the encoder's stages.
        code_channels: channels of the code.
        decoder: `"transpose"`, `"smooth"` or `"upsample"`, see `cell_autoencoder`.
        skips: hand encoder results to the decoder, for denoising.
        opponent: look at brightness and differences of colours, so that tints are learned early.
        noise: largest standard deviation of the noise in training, for images in [0, 1].
        augment: what happens to the images at random in training: `"none"`, `"mirror"`, or `"all"`
            (mirrored, turned and zoomed).
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: of Adam at the start; falls to a hundredth along a cosine.
        seed: of weights, order, noise, augmentation and split.
        data: folder of the images, empty for rendered cells.
        limit: images taken of each class, None for all.
        split: how images are chosen to test on: whole slides (`"slide"`), at random (`"random"`),
            or by slide where file names tell slides, else at random (`"auto"`).
        preset: the name of the preset that these settings came from.
        original_size: the middle height and width of the training images before they were resized,
            None where nobody knows. It says at what scale the network saw them.
        value_ranges: the numbers in the training files that are black and white, by their type,
            such as `{"uint16": (0, 4095)}`; other types decide for themselves.
        filled: whether the network fills sizes up; those of older runs did not, see
            `cell_autoencoder`'s argument `displaced`.
    """

    image_size: tuple[int, int] = (64, 64)
    filters: tuple[int, ...] = (8, 16, 32)
    code_channels: int = 8
    decoder: str = "transpose"
    skips: bool = False
    opponent: bool = False
    noise: float = 0.0
    augment: str = "none"
    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 6e-3
    seed: int = 0
    data: str = ""
    limit: int | None = None
    split: str = "auto"
    preset: str = "standard"
    original_size: tuple[int, int] | None = None
    value_ranges: Ranges = field(default_factory=dict)
    filled: bool = True


#: What `augment` may be, and the layers that do it. Mirrored images are as sharp as they were;
#: turned and zoomed ones are read between pixels, which makes them softer.
CHANGES: dict[str, Callable[[], Layer | None]] = {
    "none": lambda: None,
    "mirror": RandomFlip,
    "all": cell_changes,
}

#: What `split` may be, and what `decoder`.
SPLITS, DECODERS = ("slide", "random", "auto"), ("transpose", "smooth", "upsample")

#: Named settings; each says what it is for. See the README's table for what they reach.
PRESETS: dict[str, Settings] = {
    "standard": Settings(),
    "faithful": Settings(filters=(16, 32, 64), epochs=30, preset="faithful"),
    "denoiser": Settings(code_channels=32, skips=True, noise=0.25, epochs=10, preset="denoiser"),
}


def preset(name: str, **changes: Any) -> Settings:
    """Return the settings of a preset, with changes; a change to None leaves the preset's value.

    >>> preset("standard", epochs=5, noise=None).epochs
    5
    """
    name = check_choice("preset", "name", name, PRESETS)
    given = {key: value for key, value in changes.items() if value is not None}
    settings = replace(PRESETS[name], **given)
    for key in ("epochs", "batch_size", "code_channels"):
        if getattr(settings, key) < 1:
            raise ArgumentError(f"{key}={getattr(settings, key)}, but it must be at least 1.")
    check_noise("preset", "noise", settings.noise)
    for key, choices in (("augment", CHANGES), ("decoder", DECODERS), ("split", SPLITS)):
        check_choice("preset", key, getattr(settings, key), choices)
    return settings


def save_settings(settings: Settings, folder: Path) -> None:
    """Write settings into a run's folder."""
    with replacing(folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps(asdict(settings), indent=2) + "\n")


def load_settings(folder: str | Path) -> Settings:
    """Return the settings of a run.

    Raises:
        DataError: the folder holds no run, or its settings are damaged.
    """
    path = Path(folder) / SETTINGS
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError("it holds no settings by name")
        found.setdefault("split", "slide")  # as runs were split before one could choose
        known = {f.name for f in fields(Settings)}
        unknown = set(found) - known
        if unknown:
            raise ValueError(f"it has the unknown setting {min(unknown)!r}")
        for key in ("image_size", "filters"):
            found[key] = tuple(found[key])
        found["original_size"] = tuple(found.get("original_size") or ()) or None
        ranges = dict(found.get("value_ranges", {}))
        found["value_ranges"] = {name: (black, white) for name, (black, white) in ranges.items()}
        return Settings(**{"filled": False, **found})
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds no run: there is no {SETTINGS} in it; give a folder that "
            f"`minicnn train` or `minicnn demo` has written."
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged: {error}.") from None


def epochs_done(folder: str | Path) -> int:
    """Return the number of epochs of a run that are finished and saved.

    Raises:
        WeightsError: what is saved is damaged.
    """
    path = Path(folder) / BACKUP
    return int(read_arrays(path)[1].get("epochs", 0)) if path.exists() else 0


def claim_folder(folder: str | Path, resume: bool) -> Path:
    """Return a run's folder, made if need be.

    Raises:
        ArgumentError: it holds a run already and `resume` is not asked for.
        OutputError: it cannot be made or written.
    """
    if not resume and (Path(folder) / SETTINGS).exists():
        raise ArgumentError(
            f"the folder {folder} holds a run already; continue it with --resume, or choose "
            f"another folder with --output."
        )
    return make_folder(folder)


def build(settings: Settings, image_size: Sequence[int] | None = None) -> Model:
    """Return the network of these settings, with new weights, for images of a size."""
    height, width = image_size or settings.image_size
    stages = len(settings.filters)
    return cell_autoencoder(
        (height, width, 3),
        settings.filters,
        settings.code_channels,
        settings.decoder,
        skips=settings.skips,
        displaced=() if settings.filled else displaced_by(settings.image_size, stages),
        opponent=settings.opponent,
    )


def load_model(folder: str | Path, image_size: Sequence[int] | None = None) -> Model:
    """Return the trained network of a run, for images of any size (default the run's).

    All its layers are convolutions and pools, so the same weights serve every size.

    Raises:
        DataError: the folder holds no run.
        WeightsError: its weights are missing, damaged or of another network.
    """
    settings = load_settings(folder)
    model = build(settings, image_size)
    model.load_weights(Path(folder) / WEIGHTS)
    return model


def fitting_scale(settings: Settings, size: Sequence[int]) -> float:
    """Return the factor that brings an image of a size to the scale that the network learned.

    An image counts as one like those of the training, which were resized as a whole. Only one of
    more than four times their sides before that must be a wider view, taken like them.

    >>> cells = Settings(image_size=(64, 64), original_size=(130, 126))
    >>> [round(fitting_scale(cells, size), 2) for size in [(128, 128), (60, 70), (900, 1200)]]
    [0.5, 0.99, 0.5]
    """
    side = math.prod(size) ** 0.5
    learned = math.prod(settings.image_size) ** 0.5
    # Rendered cells have been drawn at the size of the network.
    before = settings.original_size or (None if settings.data else settings.image_size)
    original = side if before is None else math.prod(before) ** 0.5
    return learned / (side if side <= 4 * original else original)


def _mean_psnr(y_true: Array, y_pred: Array) -> Array:
    # A perfect image has no finite PSNR; 100 dB is far above what 8-bit images can show.
    return np.minimum(psnr(y_true, y_pred), 100.0)


class TrainingRun:
    """One run: images, a network, and the folder that they are trained into.

    Args:
        settings: what to do.
        folder: where everything is written; made if need be.
        train: images to learn from (N,H,W,3).
        test: images to measure on.
        resume: continue a run of the same settings in this folder. With more epochs it goes on
            where the run ended; the learning rate then falls along the longer curve.

    Raises:
        ArgumentError: the folder holds a run already and `resume` is not asked for.
        OutputError: the folder cannot be written.
    """

    def __init__(
        self, settings: Settings, folder: str | Path, train: Array, test: Array, resume: bool
    ) -> None:
        self.settings, self.train_images, self.test_images = settings, train, test
        self.folder = claim_folder(folder, resume)
        config.set_random_seed(settings.seed)
        self.model = build(settings)
        steps = len(self.batches()) * settings.epochs
        rate = CosineDecay(settings.learning_rate, steps, alpha=0.01)
        self.model.compile(Adam(rate), "mse", metrics=[MeanMetricWrapper(_mean_psnr, "psnr")])
        save_settings(settings, self.folder)
        self.backup = BackupAndRestore(self.folder / BACKUP, delete_checkpoint=False)

    def batches(self) -> NoisyBatches:
        """Return the training batches."""
        settings = self.settings
        changes = CHANGES[settings.augment]()
        return NoisyBatches(self.train_images, settings.batch_size, settings.noise, changes)

    @property
    def epochs_done(self) -> int:
        """The number of epochs that are finished and saved."""
        return self.backup.epochs_done

    def fit(self, verbose: Any = "auto", callbacks: Sequence[Callback] = ()) -> dict[str, Any]:
        """Train to the last epoch and return the history.

        An interrupt leaves the last finished epoch in the folder.
        """
        settings = self.settings
        noisy = add_noise(self.test_images, settings.noise, settings.seed)
        history = self.model.fit(
            self.batches(),
            epochs=settings.epochs,
            verbose=verbose,
            validation_data=(noisy, self.test_images),
            callbacks=[
                *callbacks,
                TerminateOnNaN(),
                ModelCheckpoint(self.folder / WEIGHTS, save_weights_only=True),
                self.backup,
            ],
        )
        return history.history
