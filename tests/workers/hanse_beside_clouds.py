"""`hanse` with the simulated clouds, on a clock that may be wrong by as many seconds as HANSE_TEST_CLOCK says."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, tzinfo

from bench import simulated_vendor

from hanse import main

WRONG = timedelta(seconds=float(os.environ.get("HANSE_TEST_CLOCK", "0")))


class Wrong(datetime):
    """Instants by that clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """What it shows."""
        return datetime.now(tz) + WRONG


if __name__ == "__main__":
    main.VENDORS["memory"] = simulated_vendor.__name__
    vars(main)["datetime"] = Wrong
    main.run()
