"""hpcli: Leslie N. Smith's disciplined method for setting hyper-parameters.

In a notebook: `from hpcli import load_config, lr_find, sweep, train, plots`. The names stand in `__init__.pyi` and are
imported on first use, so that `hpcli --help` never loads torch. Nothing is written unless you pass a `DiskRecorder`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
