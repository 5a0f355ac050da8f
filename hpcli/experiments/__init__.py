"""One file a command: Config → Result. No files, no prints, no plots."""
