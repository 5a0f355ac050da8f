"""hpcli for tests that run many commands: a process that has imported everything once, and forks for each.

`Commands` puts scripts named `hpcli` and `python` in front of the PATH. They hand their arguments, folder and streams to a
server, which forks, and calls `hpcli.cli.main`, the function behind the installed command, or runs the code after `-c`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

CLIENT = """#!{python} -S
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    about = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(about).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(about)
    sys.exit(int.from_bytes(server.recv(1), "big"))
"""
SERVER = """
import json, os, socket, sys, traceback, warnings
import matplotlib.figure, scipy.stats, torch, torch._dynamo
import hpcli.plots, hpcli.cli.terminal
import hpcli.experiments.interpolate, hpcli.experiments.lr_find, hpcli.experiments.sweep, hpcli.experiments.train
from hpcli.cli import main

torch.set_num_threads(1)
with socket.socket(socket.AF_UNIX) as server:
    server.bind(sys.argv[1])
    server.listen()
    print("ready", flush=True)
    while True:
        client, _ = server.accept()
        size, streams, _, _ = socket.recv_fds(client, 8, 3)
        about = b""
        while len(about) < int.from_bytes(size, "big"):
            about += client.recv(65536)
        arguments, folder, environment = json.loads(about)
        child = os.fork()
        if not child:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(folder)
            sys.argv = arguments
            sys.path.insert(0, folder)
            code = 1
            try:
                if arguments[0].endswith("python"):
                    warnings.simplefilter("error")
                    exec(arguments[arguments.index("-c") + 1], {"__name__": "__main__"})
                    code = 0
                else:
                    code = main(arguments[1:])
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        for stream in streams:
            os.close(stream)
        client.sendall(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]).to_bytes(1, "big"))
        client.close()
"""


class Commands:
    """While entered, `environment` is one in which `hpcli` answers quickly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def environment(self) -> dict[str, str]:
        """Also with this Python's other commands."""
        path = os.pathsep.join([str(self.folder), str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**os.environ, "PATH": path}

    def __enter__(self) -> Commands:
        address = str(self.folder / "socket")
        for name in ("hpcli", "python"):
            script = self.folder / name
            script.write_text(CLIENT.format(python=sys.executable, address=address))
            script.chmod(0o755)
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, address], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.kill()
        self._server.communicate()
