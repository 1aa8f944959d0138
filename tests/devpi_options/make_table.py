"""Writes options.tsv: the options of devpi-server's programs, as their parsers have them.

    python3 -m venv /tmp/facts && /tmp/facts/bin/pip install devpi-server==6.20.3
    /tmp/facts/bin/python tests/devpi_options/make_table.py > tests/devpi_options/options.tsv

One option per line, fields separated by tabs: program, option, and whether it takes a value (`value`) or is
a switch (`switch`). Installed plugins would add theirs.
"""

import argparse
import sys
from importlib.metadata import distribution


class Made(BaseException):
    pass


def stop(parser, *_):
    raise Made(parser)


argparse.ArgumentParser.parse_args = argparse.ArgumentParser.parse_known_args = stop

entries = distribution("devpi-server").entry_points
for entry in sorted(entries, key=lambda entry: entry.name):
    if entry.group != "console_scripts":
        continue
    sys.argv = [entry.name]
    try:
        entry.load()()
    except Made as made:
        for action in made.args[0]._actions:
            kind = "switch" if action.nargs == 0 else "value"
            for option in action.option_strings:
                print(entry.name, option, kind, sep="\t")
