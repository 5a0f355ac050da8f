"""Run folders: status and summary (`folder`), CSV (`tables`), `checkpoints`, atomic files and the lock (`files`)."""

from hpcli.run_dir.folder import RunDir, folder_config, run_status

__all__ = ["RunDir", "folder_config", "run_status"]
