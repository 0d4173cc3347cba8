"""Callbacks: objects that `fit`, `evaluate` and `predict` tell of every epoch and batch."""

from minicnn.callbacks.base import Callback, CallbackList, History, LambdaCallback
from minicnn.callbacks.monitoring import EarlyStopping, ReduceLROnPlateau
from minicnn.callbacks.saving import BackupAndRestore, CSVLogger, ModelCheckpoint
from minicnn.callbacks.training import LearningRateScheduler, SwapEMAWeights, TerminateOnNaN

__all__ = ["BackupAndRestore", "CSVLogger", "Callback", "CallbackList",
           "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
           "ModelCheckpoint", "ReduceLROnPlateau", "SwapEMAWeights", "TerminateOnNaN"]  # fmt: skip
