"""The process that keeps etcd, kube-apiserver and kube-controller-manager for hanse.demo.kubernetes.

It imports nothing of Hanse and runs by path. Go's servers would outlive whoever started them; this one ends them,
in the right order, when it is told to or when its stdin ends.

    kubernetes_server.py FOLDER HELD [--detach]

FOLDER/commands.json has the three command lines by name. HELD is an inherited socket that is bound to the API
server's port and never listens: so nobody else gets that port while the API server is stopped. Signals: SIGTERM ends
all; SIGUSR1 stops just the API server; SIGUSR2 starts it again. FOLDER/server.pid is locked for as long as this
lives, FOLDER/kube-apiserver.pid is there while that one lives.
"""

import argparse
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from io import TextIOWrapper
from pathlib import Path

ETCD, API, CONTROLLERS = "etcd", "kube-apiserver", "kube-controller-manager"
GRACE = 2.0
"""Seconds to end in peace. An API server would wait a minute for open watches; what it answered is in etcd."""


class Children:
    """The servers that run, by name, each with a log of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: dict[str, list[str]] = json.loads((folder / "commands.json").read_text())
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one, unless it runs."""
        if name in self.running:
            return
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(  # noqa: S603
                self.commands[name],
                cwd=self.folder,  # etcd's sockets are named from there: no path is too long for a socket
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509 (safe: this process has one thread)
            )
        self.pid_file(name).write_text(str(self.running[name].pid))

    def stop(self, name: str) -> None:
        """End one and wait for it, by force after a grace, unless it has ended."""
        process = self.running.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.pid_file(name).unlink()

    def ended(self) -> list[str]:
        """Which have ended without being told to."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def obituary(self, name: str) -> str:
        """That one has ended, and the end of its log."""
        log = self.folder / f"{name}.log"
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        return f"{name} ended with status {self.running[name].returncode}. The end of {log}:\n{last}\n"

    def pid_file(self, name: str) -> Path:
        """Where the id of one is while it runs."""
        return self.folder / f"{name}.pid"


def main() -> None:
    """Start the three, do as the signals say, and end them in order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("held", type=int)
    parser.add_argument("--detach", action="store_true")
    options = parser.parse_args()
    lock = hold(options.folder / "server.pid")
    pid = os.fork() if options.detach else os.getpid()
    if pid:
        lock.write(str(pid))
        lock.flush()
    if options.detach:
        if pid:
            os._exit(0)  # the child has inherited the lock
        os.setsid()
    children = Children(options.folder)
    with socket.socket(fileno=options.held) as held:
        held.set_inheritable(False)
        try:
            serve(children, held.getsockname(), until=None if options.detach else sys.stdin.fileno())
        finally:
            for name in (CONTROLLERS, API, ETCD):  # an API server whose etcd has gone hangs
                children.stop(name)


def serve(children: Children, address: tuple[str, int], until: int | None) -> None:
    """Start the three and obey, until SIGTERM, the end of that file, or the end of one that must not end."""
    signals, wake = os.pipe()
    for end in (signals, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    children.start(ETCD)
    children.start(API)
    while True:
        # They give up where the API server does not answer for 10 s (WaitForAPIServer in k8s.io/controller-manager):
        # so they come after it, and come again.
        if CONTROLLERS not in children.running and answers(address):
            children.start(CONTROLLERS)
        pause = None if CONTROLLERS in children.running else 0.2
        ready = select.select([signals] if until is None else [signals, until], [], [], pause)[0]
        if until in ready and not os.read(until, 1024):
            return
        for sent in os.read(signals, 1024) if signals in ready else b"":
            if sent == signal.SIGTERM:
                return
            if sent == signal.SIGUSR1:
                children.stop(API)
            elif sent == signal.SIGUSR2:
                children.start(API)
        for name in children.ended():
            sys.stderr.write(children.obituary(name))
            sys.stderr.flush()
            if name != CONTROLLERS:
                return
            children.stop(name)


def answers(address: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as caller:
        return caller.connect_ex(address) == 0


def hold(path: Path) -> TextIOWrapper:
    """Open and lock the file until this process ends: one server per folder, and a proof of life."""
    file = path.open("a+")
    for _ in range(20):  # whoever asks whether we live holds the lock for a moment
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            file.truncate(0)
            return file
    sys.exit(f"a Kubernetes API server is running in {path.parent}")


def end_with_parent() -> None:
    """Ask Linux to kill this child should its parent be killed, which then could not end it (prctl(2))."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    main()
