"""The public names of hpcli, and where they come from."""

from . import plots
from .analysis.suggestion import Suggestion, suggest
from .analysis.verdict import Verdict, verdict
from .catalog import allow_code
from .config import Config, load_config, with_overrides
from .data.dataset import ImageData, Split
from .data.on_device import DeviceData
from .experiments.batch_size import batch_size
from .experiments.check import check
from .experiments.evaluate import evaluate
from .experiments.interpolate import interpolate
from .experiments.lr_find import lr_find
from .experiments.onnx import to_onnx
from .experiments.predict import predict
from .experiments.sweep import sweep
from .experiments.train import train
from .experiments.tune import tune
from .recording.disk import DiskRecorder
from .recording.fan_out import FanOut
from .recording.memory import MemoryRecorder
from .recording.tensorboard import TensorBoard
from .recording.trackio import Trackio
from .results.batch_size import BatchSizeResult
from .results.check import CheckResult
from .results.evaluate import EvaluateResult
from .results.interpolate import InterpolateResult
from .results.lr_find import LRFindResult
from .results.plane import PlaneResult
from .results.predict import PredictResult
from .results.sweep import SweepResult
from .results.train import TrainResult
from .results.tune import TuneResult
from .runs.compare import compare
from .runs.run import Run, find_runs
from .runs.weights import load_weights
from .states import Judgement, RunStatus
from .training.optimizer import Optimizer
from .training.trainer import Trainer
from .version import __version__
from .views.progress import progress_bar

__all__ = [
    "BatchSizeResult",
    "CheckResult",
    "Config",
    "DeviceData",
    "DiskRecorder",
    "EvaluateResult",
    "FanOut",
    "ImageData",
    "InterpolateResult",
    "Judgement",
    "LRFindResult",
    "MemoryRecorder",
    "Optimizer",
    "PlaneResult",
    "PredictResult",
    "Run",
    "RunStatus",
    "Split",
    "Suggestion",
    "SweepResult",
    "TrainResult",
    "TensorBoard",
    "Trackio",
    "Trainer",
    "TuneResult",
    "Verdict",
    "__version__",
    "allow_code",
    "batch_size",
    "check",
    "compare",
    "evaluate",
    "find_runs",
    "interpolate",
    "load_config",
    "load_weights",
    "lr_find",
    "plots",
    "predict",
    "progress_bar",
    "suggest",
    "sweep",
    "to_onnx",
    "train",
    "tune",
    "verdict",
    "with_overrides",
]
