"""A simulated Kubernetes API server: the subset of 1.36 that Hanse uses.

    with start({"dora": ["developers"]}) as kubernetes:
        kubernetes.url, kubernetes.token, kubernetes.tokens["dora"]

`python -m hanse.simulators.kubernetes` runs one as a process of its own. What it answers is held to the real server by
one suite, tests/kubernetes/test_api_*.py, which runs on both.
"""

from hanse.simulators.kubernetes.server import Simulator as Simulator
from hanse.simulators.kubernetes.server import start as start
from hanse.simulators.kubernetes.settings import Webhook as Webhook
