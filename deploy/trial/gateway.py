"""The gateway's image by itself: rights, health, logs, signals, and data kept over an upgrade."""

import hashlib
import json
import socket
import threading
import time
from urllib.parse import urljoin

from .clients import Client
from .engine import Failed
from .web import get, wheel

PASSWORD = "from-the-environment"
PADDING_BYTES = 24 << 20
# What is printed for a person who starts it by hand; the rest is the log.
DOORS = ("public ", "management ", "metrics ", "data ", "try ")
DATA = "/var/lib/cheesecloth"


class Gateway:
    """`docker run` of the image `gateway` as the Dockerfile and the manual say it."""

    def __init__(self, engine, images):
        self.engine, self.images = engine, images
        self.volume = None

    def rows(self, table):
        self.volume = self.engine.volume("packages")
        typed = "docker run -d --read-only -p 4040:4040 -v packages:/var/lib/cheesecloth -e DEVPI_PASSWORD=… cheesecloth"
        if not table.row("gateway", typed, lambda: self.start(self.images["gateway"])):
            return
        table.row("gateway", "no root, no rights, nothing writable but the data", self.rights)
        table.row("gateway", "DEVPI_PASSWORD is root's, at the management door inside", self.password)
        table.row("gateway", "upload inside, pip install outside", self.upload)
        table.row("gateway", "logs: one JSON object a line after the doors", self.logs)
        table.row("gateway", "docker kill -s HUP: policies are read again, it goes on serving", self.hang_up)
        table.row("gateway", "docker stop during a download: whole, then exit 0", self.drain)
        table.row("gateway", "docker kill, docker start: the upload is served", self.crash)
        for other in ("upgraded", "busybox", "gateway"):
            if other in self.images:
                image = self.images[other]
                table.row("upgrade", f"the same volume under {image}", lambda image=image: self.replace(image))
        table.row("gateway", "an image that does not serve becomes unhealthy", self.unhealthy)

    def start(self, image):
        # Any free port; people publish 4040:4040.
        options = ["--read-only", "-p", "127.0.0.1::4040", "-p", "127.0.0.1::9464", "-v", f"{self.volume}:{DATA}"]
        self.engine.start("gateway", *options, "-e", f"DEVPI_PASSWORD={PASSWORD}", image)
        ready = f"http://{self.engine.port('gateway', 9464)}/readyz"
        seconds = self.engine.waits(lambda: get(ready)[0], 200)
        self.engine.becomes("gateway", "healthy")
        return f"ready after {seconds:.1f} s, then healthy"

    def public(self):
        return f"http://{self.engine.port('gateway', 4040)}"

    def inside(self, line):
        return self.engine.docker("exec", self.engine.called("gateway"), "sh", "-c", line)

    def rights(self):
        self.inside("id -u").succeeds().says("10001")
        self.inside("touch /x").fails().says("Read-only file system")
        self.inside(f"touch {DATA}/x && rm {DATA}/x").succeeds()
        version = self.inside("cheesecloth --version").succeeds().text.strip()
        return version

    def password(self):
        inside = ("--network", "container:" + self.engine.called("gateway"))
        self.client = Client(self.engine, "people", self.images["client"], *inside)
        self.client.types("devpi use http://localhost:3141").succeeds()
        self.client.types("devpi login root --password ''").fails()
        self.client.types(f"devpi login root --password {PASSWORD}").succeeds()
        if get(f"{self.public()}/+login")[0] not in (403, 404, 405):
            raise Failed("the public door knows /+login")

    def upload(self):
        name, content = wheel("kept-here", "1.0", PADDING_BYTES)
        self.digest = hashlib.sha256(content).hexdigest()
        self.client.has({name: content})
        self.client.types("devpi index -c dev bases=root/pypi volatile=True").succeeds()
        self.client.types("devpi use root/dev").succeeds()
        self.client.types(f"devpi upload {name}").succeeds()
        self.serves()

    def serves(self):
        status, page = get(f"{self.public()}/root/dev/+simple/kept-here/", "application/vnd.pypi.simple.v1+json")
        if status != 200:
            raise Failed(f"the uploaded project answers {status}")
        listed = json.loads(page)["files"][0]["url"].split("#")[0]
        self.url = urljoin(f"{self.public()}/root/dev/+simple/kept-here/", listed)
        got = self.download(lambda: None)
        if got != self.digest:
            raise Failed("the file is not what was uploaded")

    def download(self, halfway):
        """Fetches the file slowly enough that something can happen when a part of it has come."""
        host, _, rest = self.url.removeprefix("http://").partition("/")
        address, port = self.public().removeprefix("http://").split(":")
        with socket.create_connection((address, int(port)), timeout=60) as connection:
            # A small window, so that the server is not done when the reader has hardly begun.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.sendall(f"GET /{rest} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = connection.makefile("rb")
            if b" 200 " not in answer.readline():
                raise Failed(f"no file at {self.url}")
            while answer.readline().strip():
                pass
            digest = hashlib.sha256(answer.read(1 << 20))
            halfway()
            while part := answer.read(1 << 20):
                digest.update(part)
        return digest.hexdigest()

    def logs(self):
        lines = self.engine.docker("logs", self.engine.called("gateway")).succeeds().text.splitlines()
        doors = [line for line in lines if line.startswith(DOORS)]
        rest = [line for line in lines if line not in doors]
        for line in rest:
            try:
                json.loads(line)
            except ValueError as error:
                raise Failed(f"not JSON: {line[:200]}") from error
        if not any("kept-here" in line or "kept_here" in line for line in rest):
            raise Failed("no line tells of the upload")
        return f"{len(rest)} lines"

    def hang_up(self):
        self.engine.docker("kill", "-s", "HUP", self.engine.called("gateway")).succeeds()
        time.sleep(1)
        if not self.engine.inspect("gateway")["State"]["Running"]:
            raise Failed("it ended")
        self.serves()

    def drain(self):
        stopping = threading.Thread(
            target=lambda: self.engine.docker("stop", "-t", "60", self.engine.called("gateway"))
        )

        def stop():
            stopping.start()
            ready = f"http://{self.engine.port('gateway', 9464)}/readyz"
            self.engine.waits(lambda: get(ready)[0] != 200, True)

        got = self.download(stop)
        stopping.join()
        code = self.engine.inspect("gateway")["State"]["ExitCode"]
        if got != self.digest or code != 0:
            raise Failed(f"exit code {code}, the file came {'whole' if got == self.digest else 'in part'}")

    def started(self):
        ready = f"http://{self.engine.port('gateway', 9464)}/readyz"
        return self.engine.waits(lambda: get(ready)[0], 200)

    def crash(self):
        self.engine.docker("start", self.engine.called("gateway")).succeeds()
        self.started()
        self.engine.docker("kill", self.engine.called("gateway")).succeeds()
        self.engine.docker("start", self.engine.called("gateway")).succeeds()
        seconds = self.started()
        self.serves()
        return f"ready after {seconds:.1f} s"

    def replace(self, image):
        self.engine.docker("rm", "-fv", self.engine.called("people"))
        self.engine.docker("stop", "-t", "60", self.engine.called("gateway"))
        self.engine.docker("rm", "-v", self.engine.called("gateway"))
        told = self.start(image)
        self.serves()
        return told

    def unhealthy(self):
        options = ["--health-interval=1s", "--entrypoint", "sleep", self.images["gateway"], "600"]
        self.engine.start("idle", *options)
        self.engine.becomes("idle", "unhealthy", 90)
