"""The container engine, and what one trial makes with it.

Everything made carries a label with the trial's name, so that at the end this and nothing else is
removed. What an engine's build cache keeps stays: it makes the next trial fast, and the engine
clears it by itself.
"""

import json
import os
import shutil
import subprocess
import time

LABEL = "cheesecloth.trial"
# One command; a build has BUILD_SECONDS.
COMMAND_SECONDS = 300
BUILD_SECONDS = 3 * 3600


class Failed(Exception):
    """A check that did not come out as promised."""


class Said:
    """What a command said, and how it ended."""

    def __init__(self, line, code, text):
        self.line, self.code, self.text = line, code, text

    def succeeds(self):
        if self.code != 0:
            raise Failed(f"`{self.line}` ended with {self.code}: {self.tail()}")
        return self

    def fails(self):
        if self.code == 0:
            raise Failed(f"`{self.line}` should have failed and said: {self.tail()}")
        return self

    def says(self, *words):
        for word in words:
            if word not in self.text:
                raise Failed(f"`{self.line}` did not say {word!r}: {self.tail()}")
        return self

    def tail(self):
        return " / ".join(self.text.strip().splitlines()[-3:])[-400:]


def client_with_buildkit():
    """The path of a `docker` that builds with BuildKit: the plugin buildx, or an engine's own client."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    for folder in folders:
        docker = shutil.which("docker", path=folder)
        if not docker:
            continue
        has_buildx = subprocess.run([docker, "buildx", "version"], capture_output=True).returncode == 0
        version = subprocess.run([docker, "--version"], capture_output=True, text=True).stdout
        numbers = [int(part) for part in version.split()[2].split(".")[:1]] if version else [0]
        # From 23 on a client without the plugin cannot; from 18.09 to 20.10 it could by itself.
        if has_buildx or 18 < numbers[0] < 23:
            return docker
    raise SystemExit("try-images: no docker that builds with BuildKit; install the plugin buildx")


class Engine:
    """Runs the engine's client; every line and what it said goes to the log."""

    def __init__(self, name, log):
        self.name, self.log = name, log
        docker = client_with_buildkit()
        self.environment = {
            **os.environ,
            # compose calls `docker` by itself.
            "PATH": os.path.dirname(docker) + os.pathsep + os.environ["PATH"],
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "1",
            "BUILDKIT_PROGRESS": "plain",
            "COMPOSE_PROJECT_NAME": name,
        }
        self.environment.pop("DEVPI_PASSWORD", None)
        self.compose = self.find_compose()

    def find_compose(self):
        for line in (["docker", "compose"], ["docker-compose"]):
            try:
                asked = subprocess.run([*line, "version"], capture_output=True, env=self.environment)
            except FileNotFoundError:
                continue
            if asked.returncode == 0:
                return line
        raise SystemExit("try-images: neither `docker compose` nor docker-compose is installed")

    def label(self):
        return f"{LABEL}={self.name}"

    def run(self, *words, seconds=COMMAND_SECONDS, given=None, shown=None, environment=None):
        """Runs a command; its two streams arrive as one text."""
        shown = shown or " ".join(words)
        self.write(f"$ {shown}")
        try:
            done = subprocess.run(
                words,
                input=given,
                stdin=None if given is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                env={**self.environment, **(environment or {})},
            )
        except subprocess.TimeoutExpired as late:
            raise Failed(f"`{shown}` took longer than {seconds} s") from late
        text = done.stdout.decode("utf-8", "replace")
        self.write(text.rstrip() + f"\n[{done.returncode}]")
        return Said(shown, done.returncode, text)

    def docker(self, *words, **options):
        return self.run("docker", *words, **options)

    def write(self, text):
        self.log.write(text + "\n")
        self.log.flush()

    def build(self, *words, context=".", given=None):
        """Builds an image with the trial's label."""
        words = ("build", "--label", self.label(), *words, context)
        return self.docker(*words, seconds=BUILD_SECONDS, given=given).succeeds()

    def start(self, name, *words):
        """Starts a container of the trial, `docker run -d …`; `name` is without the trial's prefix."""
        line = ("run", "-d", "--label", self.label(), "--name", self.called(name), *words)
        return self.docker(*line).succeeds()

    def once(self, *words, **options):
        return self.docker("run", "--rm", "--label", self.label(), *words, **options)

    def called(self, name):
        return f"{self.name}-{name}"

    def volume(self, name):
        """A new named volume of the trial."""
        self.docker("volume", "create", "--label", self.label(), self.called(name)).succeeds()
        return self.called(name)

    def inspect(self, name):
        return json.loads(self.docker("inspect", self.called(name)).succeeds().text)[0]

    def port(self, name, inside):
        """Where a container's port is on this machine, as `127.0.0.1:PORT`."""
        said = self.docker("port", self.called(name), str(inside)).succeeds().text
        return "127.0.0.1:" + said.split()[0].rsplit(":", 1)[1]

    def becomes(self, name, status, seconds=60):
        """Waits for a container's health to be this."""
        return self.waits(lambda: self.inspect(name)["State"].get("Health", {}).get("Status"), status, seconds)

    @staticmethod
    def waits(ask, expected, seconds=60):
        """Asks until the answer is the expected one; returns the seconds that it took."""
        began = time.monotonic()
        while (answer := ask()) != expected:
            if time.monotonic() - began > seconds:
                raise Failed(f"still {answer!r} instead of {expected!r} after {seconds} s")
            time.sleep(0.2)
        return time.monotonic() - began

    def has_image(self, name):
        return self.docker("image", "inspect", name, shown=f"docker image inspect {name} >/dev/null").code == 0

    def clean(self, label):
        """Removes what carries this label, containers first."""
        chosen = ["--filter", f"label={label}"]
        steps = [
            (["ps", "-aq"], ["rm", "-fv"]),
            (["network", "ls", "-q"], ["network", "rm"]),
            (["volume", "ls", "-q"], ["volume", "rm", "-f"]),
            (["images", "-aq"], ["rmi", "-f"]),
        ]
        for listed, removed in steps:
            found = self.docker(*listed, *chosen).text.split()
            if found:
                self.docker(*removed, *dict.fromkeys(found))
