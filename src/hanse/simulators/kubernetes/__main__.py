"""Run a simulated API server until it is interrupted: `python -m hanse.simulators.kubernetes --kubeconfig FILE`."""

import argparse
import contextlib
import signal
import threading
from pathlib import Path

from hanse.simulators.kubernetes import start


def run() -> None:
    """Start, write the kubeconfig once the API answers, and wait for SIGTERM or SIGINT.

    The kubeconfig is whole when it ends with a line break.
    """
    parser = argparse.ArgumentParser(prog="python -m hanse.simulators.kubernetes")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="where to write how to reach it")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes any that is free")
    options = parser.parse_args()
    ended = threading.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: ended.set())
    with start(port=options.port) as simulator, contextlib.ExitStack() as made:
        made.callback(options.kubeconfig.unlink, missing_ok=True)
        options.kubeconfig.touch(mode=0o600)
        options.kubeconfig.write_text(simulator.kubeconfig("simulated") + "\n")
        ended.wait()


if __name__ == "__main__":
    run()
