"""Callbacks that write files: checkpoints, a training that can be continued, a table of figures."""

from __future__ import annotations

import contextlib
import csv
import math
from pathlib import Path
from typing import IO, Any

import numpy as np

from minicnn.callbacks.base import Callback, Logs
from minicnn.callbacks.monitoring import Monitor
from minicnn.errors import ArgumentError, WeightsError
from minicnn.files import hdf5, make_folder

__all__ = ["BackupAndRestore", "CSVLogger", "ModelCheckpoint"]


def _broken(logs: Logs | None) -> bool:
    """Return whether the loss is no number: such a training is not worth keeping."""
    return not math.isfinite((logs or {}).get("loss", 0.0))


def _checked_freq(callback: Callback, save_freq: Any) -> Any:
    """Return "epoch" or a number of batches, else raise."""
    whole = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq >= 1
    if save_freq != "epoch" and not whole:
        raise ArgumentError(
            f"{type(callback).__name__}: save_freq={save_freq!r}, but it must be 'epoch' or a "
            f"number of batches >= 1."
        )
    return save_freq


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, after every epoch or after those better than all before.

    Nothing is saved when the loss is no number.

    Args:
        filepath: a file name, which may hold figures, as `"cells-{epoch:02d}-{val_loss:.3f}.keras"`
            (`epoch`, and `batch` within an epoch, count from 1). For a whole model it ends in
            `.keras`; folders are made.
        monitor: the figure that decides, default `"val_loss"`.
        verbose: 1 says what is saved, default 0.
        save_best_only: save only better epochs, default False.
        save_weights_only: save the weights alone, default False: the whole model.
        mode: `"min"`, `"max"`, or `"auto"` (as the metric says of itself), default `"auto"`.
        save_freq: `"epoch"` (default), or the number of batches from one save to the next.
        initial_value_threshold: a figure that the first save must surpass already, default none.

    Raises:
        ArgumentError: the name ends otherwise, or an argument is outside its rule.
        BackendError: the name asks for HDF5, and h5py is not installed.
    """

    kept = ("best", "_batches")

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath, self.verbose = str(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        if not save_weights_only and not self.filepath.endswith(".keras"):
            raise ArgumentError(
                f"ModelCheckpoint: filepath={self.filepath!r} must end in '.keras' for a whole "
                f"model; for weights give save_weights_only=True."
            )
        if self.filepath.endswith((".keras", ".h5")):
            hdf5(self.filepath)  # not only after the first epoch's work
        self.save_freq = _checked_freq(self, save_freq)
        self.best = initial_value_threshold
        self._epoch, self._batches = 0, 0
        #: The file that was written last in this training.
        self.saved: str | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget the files of an earlier training."""
        self.saved = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if it is time."""
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % int(self.save_freq) == 0:
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if it is time."""
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: Logs) -> None:
        if _broken(logs):
            return
        try:
            path = self.filepath.format(epoch=epoch + 1, **logs)
        except KeyError as error:
            raise ArgumentError(
                f"ModelCheckpoint: filepath={self.filepath!r} asks for {error}, but this training "
                f"gives: epoch, {', '.join(logs)}."
            ) from None
        if self.save_best_only:
            value = self.value(logs)
            if value is not None and not self.improves(value, self.best):
                return
            self.best = self.best if value is None else value
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        self.saved = path
        if self.verbose:
            reason = f": {self.monitor} is {self.best:.5f}" if self.save_best_only else ""
            print(f"\nEpoch {epoch + 1}{reason}, saved to {path}")


class BackupAndRestore(Callback):
    """Saves everything after each epoch, and continues from there after an interruption.

    Weights, optimizer, history, random numbers, what callbacks keep and the place within the data
    are saved, so an interrupted training that is started again ends with the same weights, bit for
    bit, as one without interruption. When the training is done the backup goes, so that the next
    one begins anew.

    Args:
        backup_dir: a folder, in which `training.safetensors` is written; or this file itself, by a
            name that ends in `.safetensors` or that is there already. Folders are made.
        save_freq: `"epoch"` (default), or the number of batches from one save to the next.
        double_checkpoint: keep the backup before the last one, too, as `NAME.previous`, and
            continue from it should the last one be damaged; default False.
        delete_checkpoint: remove the backup when the training ends of itself, default True. It
            stays after an interruption, an error, and a loss that is no number.
        restore: continue from the backup if there is one, default True.

    Raises:
        ArgumentError: `save_freq` is outside its rule.
        WeightsError: the file is damaged or of another network.
    """

    #: It saves the history too, so it is told of an epoch after that one.
    needs_history = True
    kept = ("_batches",)

    def __init__(
        self,
        backup_dir: str | Path,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        *,
        restore: bool = True,
    ) -> None:
        self.backup_dir = given = Path(backup_dir)
        is_file = given.is_file() or (given.suffix == ".safetensors" and not given.is_dir())
        self.path = given if is_file else given / "training.safetensors"
        self.save_freq = _checked_freq(self, save_freq)
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self.restore = restore
        self.epochs_done = 0
        self._epoch, self._batches = 0, 0
        #: The file, once it holds something of this training.
        self.saved: str | None = None

    @property
    def _previous(self) -> Path:
        return self.path.with_name(f"{self.path.name}.previous")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Continue from the file if there is one."""
        self.epochs_done, self._batches, self.saved = 0, 0, None
        if not self.restore:
            return
        files = [path for path in (self.path, self._previous) if path.exists()]
        for path in files:
            try:
                self.epochs_done = self.model.restore_training(path)
            except WeightsError:
                if path == files[-1]:
                    raise
            else:
                self.saved = str(path)
                return

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save everything, if it is time."""
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % self.save_freq == 0:
            self._save(self._epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save everything, unless the loss is no number."""
        if self.save_freq == "epoch":
            self._save(epoch + 1, logs)

    def _save(self, epochs: int, logs: Logs | None) -> None:
        if _broken(logs):
            return
        if not self.path.parent.exists():
            make_folder(self.path.parent)
        if self.double_checkpoint and self.path.exists():
            self.path.replace(self._previous)
        self.model.save_training(self.path, epochs)
        self.epochs_done, self.saved = epochs, str(self.path)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Remove the backup of a training that is done."""
        if not self.delete_checkpoint or _broken(logs):
            return
        for path in (self.path, self._previous):
            path.unlink(missing_ok=True)
        self.saved = None
        if self.path.parent == self.backup_dir:
            with contextlib.suppress(OSError):  # it was never made, or holds other files
                self.backup_dir.rmdir()

    def on_train_interrupted(self, logs: Logs | None = None) -> None:
        """Leave the backup where it is."""


class CSVLogger(Callback):
    """Writes a line of figures after every epoch: `epoch`, then the others by their names' order.

    Where the first epoch was not validated, columns for validation follow, which hold NA until
    there is one.

    Args:
        filename: a file name.
        separator: between columns, default a comma.
        append: go on with a file that exists, default False: replace it.
    """

    kept = ("written",)

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = Path(filename), separator, append
        self._file: IO[str] | None = None
        self._columns: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        there = self.append and self.filename.exists() and self.filename.stat().st_size > 0
        self._headed, self._columns = there, None
        self._file = self.filename.open("a" if self.append else "w", newline="", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line."""
        logs = logs or {}
        if self._columns is None:
            self._columns = sorted(logs)
            if not any(name.startswith("val_") for name in logs):
                self._columns += [f"val_{name}" for name in self._columns]
        assert self._file is not None
        writer = csv.writer(self._file, delimiter=self.separator)
        if not self._headed:
            writer.writerow(["epoch", *self._columns])
            self._headed = True
        writer.writerow([epoch, *(_text(logs.get(name, "NA")) for name in self._columns)])
        self._file.flush()

    @property
    def written(self) -> list[Any]:
        """The text of the file so far, and its columns; a continued training sets them."""
        text = self.filename.read_bytes().decode() if self.filename.exists() else ""
        return [text, self._columns]

    @written.setter
    def written(self, value: list[Any]) -> None:
        text, self._columns = value
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(text)
            self._file.flush()
            self._headed = bool(text)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _text(value: Any) -> Any:
    several = isinstance(value, list | tuple | np.ndarray) and np.ndim(value)
    return f"[{', '.join(map(str, value))}]" if several else value
