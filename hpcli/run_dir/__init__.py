"""Run folders: status and summary (`folder`), CSV (`tables`), `checkpoints`, atomic files and the lock (`files`)."""

from hpcli.run_dir.folder import RunDir, folder_config, run_status
from hpcli.run_dir.weights import config_beside, load_weights, shared_config

__all__ = ["RunDir", "config_beside", "folder_config", "load_weights", "run_status", "shared_config"]
