"""Run folders: status and summary (`folder`), CSV (`tables`), `checkpoints`, atomic files and the lock (`files`)."""

from hpcli.run_dir.folder import RunDir, run_status

__all__ = ["RunDir", "run_status"]
