"""What was tried, and what came of it: printed as it happens, and as a table at the end."""

import time
import traceback

from .engine import Failed


class Table:
    def __init__(self, engine):
        self.engine, self.rows = engine, []

    def row(self, group, what, work):
        """Tries one thing. `work` returns what is worth telling of it, or nothing."""
        self.engine.write(f"\n=== {group}: {what}")
        began = time.monotonic()
        try:
            outcome, told = "works", work()
        except Failed as failure:
            outcome, told = "FAILS", str(failure)
        except Exception as error:  # A fault of the trial must not hide the rows after it.
            self.engine.write(traceback.format_exc())
            outcome, told = "FAILS", f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - began
        self.put(group, what, outcome, told or "", seconds)
        return outcome == "works"

    def put(self, group, what, outcome, told, seconds=0.0):
        self.rows.append((group, what, outcome, told, seconds))
        line = f"{group:<9} {outcome:<8} {seconds:6.1f} s  {what}" + (f": {told}" if told else "")
        self.engine.write(line)
        print(line, flush=True)

    def failed(self):
        return [row for row in self.rows if row[2] == "FAILS"]

    def markdown(self):
        lines = ["| | Typed or tried | Outcome | |", "|---|---|---|---|"]
        for row in self.rows:
            cells = (cell.replace(f"{self.engine.name}-", "").replace("|", "\\|") for cell in row[:4])
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"
