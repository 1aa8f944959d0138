"""A container with people's clients, in which lines are typed one after another."""

import io
import tarfile
import time

from .engine import Failed


class Client:
    """A container of the client's image that stays up; a home is kept between lines. Without an image
    it runs already."""

    def __init__(self, engine, name, image, *options):
        self.engine, self.name = engine, engine.called(name)
        if image:
            engine.start(name, *options, image, "sleep", "7200")

    def types(self, line, **options):
        """Types a line in a shell there."""
        words = ("exec", self.name, "sh", "-c", line)
        return self.engine.docker(*words, shown=f"[{self.name}] {line}", **options)

    def has(self, files):
        """Puts files, by path and content, below the home folder."""
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as archive:
            for path, content in files.items():
                content = content if isinstance(content, bytes) else content.encode()
                entry = tarfile.TarInfo(path)
                # Eggs are ZIP archives, which know no time before 1980.
                entry.size, entry.mode, entry.mtime = len(content), 0o644, int(time.time())
                archive.addfile(entry, io.BytesIO(content))
        # Not `docker cp`, which makes files root's.
        words = ("exec", "-i", self.name, "tar", "-xf", "-")
        self.engine.docker(*words, given=made.getvalue(), shown=f"[{self.name}] tar -xf - {list(files)}").succeeds()

    def installs(self, what, *options, version=None):
        """pip takes it into a folder of its own, and what lies there can be imported."""
        module = what.split("==")[0].replace("-", "_")
        self.types("rm -rf out")
        line = " ".join(["pip install --no-cache-dir --target out", *options, what])
        said = self.types(line).succeeds()
        told = self.types(f"PYTHONPATH=out python3 -c 'import {module}; print({module}.__version__)'").succeeds()
        if version and told.text.strip() != version:
            raise Failed(f"`{line}` installed {told.text.strip()}, not {version}")
        return said


def distutils_files(name):
    """A project of the days when setup.py registered and uploaded."""
    module = name.replace("-", "_")
    return {
        "setup.py": "from setuptools import setup\n"
        "from distutils.command.register import register\n"
        "from distutils.command.upload import upload\n"
        f"setup(name={name!r}, version='1.0', py_modules=[{module!r}],\n"
        "      cmdclass={'register': register, 'upload': upload})\n",
        f"{module}.py": "__version__ = '1.0'\n",
    }
