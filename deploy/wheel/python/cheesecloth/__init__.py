"""Where the cheesecloth program of this wheel is."""

from __future__ import annotations

import os
import sys
import sysconfig

__all__ = ["find_program"]


def find_program() -> str:
    """The path of the program that was installed together with this package.

    Raises FileNotFoundError, naming the folders that were looked at, when there is none.
    """
    looked_at = []
    for folder in _folders():
        path = os.path.join(folder, "cheesecloth")
        if os.path.isfile(path):
            return path
        looked_at.append(folder)
    raise FileNotFoundError(
        "the cheesecloth program is in none of {}; install the wheel again".format(", ".join(looked_at))
    )


def _folders():
    """Where installers put programs, the nearest first."""
    package = os.path.dirname(os.path.abspath(__file__))
    # `pip install --target T` puts the package into T and programs into T/bin.
    yield os.path.join(os.path.dirname(package), "bin")
    # `pip install --prefix P`: P/lib/python3.x/site-packages/cheesecloth beside P/bin.
    yield os.path.normpath(os.path.join(package, *[os.pardir] * 4, "bin"))
    yield sysconfig.get_path("scripts")
    yield sysconfig.get_path("scripts", scheme="posix_user")
    yield os.path.join(sys.base_prefix, "bin")
