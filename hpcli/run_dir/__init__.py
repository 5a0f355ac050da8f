"""Run folders: status and summary (`folder`), CSV (`tables`), `checkpoints`, atomic files and the lock (`files`)."""

from hpcli.run_dir.folder import RunDir, folder_config, run_status
from hpcli.run_dir.weights import load_weights

__all__ = ["RunDir", "folder_config", "load_weights", "run_status"]
