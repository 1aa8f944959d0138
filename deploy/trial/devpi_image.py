"""D5: images of server and client, in the place of a devpi image."""

from .clients import Client
from .engine import Failed
from .web import get, wheel

PASSWORD = "from-the-environment"


class DevpiImage:
    def __init__(self, engine, images):
        self.engine, self.images = engine, images

    def rows(self, table):
        self.data = self.engine.volume("data")
        network = self.engine.called("net")
        self.engine.docker("network", "create", "--label", self.engine.label(), network).succeeds()
        self.network = ("--network", network)
        typed = "docker run -d --read-only -p 3141:3141 -e DEVPI_PASSWORD=… -v data:/devpi/server cheesecloth:devpi --threads 4 --debug"
        if not table.row("D5.1", typed, self.first):
            return
        table.row("D5.3", "client with DEVPI_URL, DEVPI_USER and DEVPI_PASSWORD", self.client_image)
        table.row("D5.4", "pip install -i http://…:3141/root/pypi simplejson; pip.conf index-url", self.mirror)
        table.row("D5.5", "devpi user, index, upload; pip install of the private package", self.private)
        table.row("D5.2", "docker restart: data is there, start in under a second", self.restart)
        table.row("D5.6", "devpi-export of one volume, devpi-import into another", self.moved)
        if "devpi-server" in self.images:
            table.row("D5.6", "devpi-import of what a real devpi-server exported", self.from_devpi)
        table.row("D5.1", "an unknown argument is refused in words", self.refused)

    def serve(self, name, volume):
        options = ["--read-only", "-p", "127.0.0.1::3141", *self.network, "--network-alias", name]
        options += ["-e", f"DEVPI_PASSWORD={PASSWORD}", "-v", f"{volume}:/devpi/server"]
        self.engine.start(name, *options, self.images["devpi"], "--threads", "4", "--debug")
        url = f"http://{self.engine.port(name, 3141)}"
        return self.engine.waits(lambda: get(f"{url}/+api")[0], 200)

    def first(self):
        seconds = self.serve("server", self.data)
        self.engine.becomes("server", "healthy")
        self.people = Client(self.engine, "devpi-people", self.images["client"], *self.network)
        self.people.types("devpi use http://server:3141").succeeds()
        self.people.types("devpi login root --password ''").fails()
        self.people.types(f"devpi login root --password {PASSWORD}").succeeds()
        lines = len(self.engine.docker("logs", self.engine.called("server")).text.splitlines())
        return f"ready after {seconds:.1f} s, {lines} lines in the log"

    def client_image(self):
        said = self.engine.once(
            *self.network, "-e", "DEVPI_URL=http://server:3141/root/pypi", "-e", "DEVPI_USER=root",
            "-e", f"DEVPI_PASSWORD={PASSWORD}", self.images["client"], "devpi", "use",
        )  # fmt: skip
        said.succeeds().says("(logged in as root)")

    def mirror(self):
        trust = "--trusted-host server"
        self.people.installs("simplejson", "-i http://server:3141/root/pypi", trust)
        conf = "[global]\nindex-url = http://server:3141/root/pypi\ntrusted-host = server\n"
        self.people.has({".config/pip/pip.conf": conf})
        self.people.installs("simplejson")

    def private(self):
        name, content = wheel("private_package", "0.1.0")
        self.people.has({name: content})
        for line in (
            "devpi user -c local password=pw",
            "devpi login local --password=pw",
            "devpi index -c local/stable bases=root/pypi volatile=False",
            "devpi use local/stable",
            f"devpi upload {name}",
        ):
            self.people.types(line).succeeds()
        self.installs("server")

    def installs(self, host):
        where = f"-i http://{host}:3141/local/stable --trusted-host {host}"
        self.people.installs("private_package", where, version="0.1.0")

    def restart(self):
        self.engine.docker("restart", "-t", "60", self.engine.called("server")).succeeds()
        url = f"http://{self.engine.port('server', 3141)}"
        seconds = self.engine.waits(lambda: get(f"{url}/+api")[0], 200)
        self.people.types("devpi list").succeeds().says("private-package")
        self.installs("server")
        return f"ready after {seconds:.1f} s"

    def exported(self, image, data, user):
        """A volume with an export of `data`, made by the program devpi-export in `image`."""
        volume = self.engine.volume(f"export-{user or 'ours'}")
        # A new volume is root's; people give it to the image's user once.
        self.engine.once("-u", "0", "-v", f"{volume}:/export", "--entrypoint", "chmod", image, "777", "/export").succeeds()
        mounts = ("-v", f"{data}:/devpi/server", "-v", f"{volume}:/export")
        line = ("--serverdir", "/devpi/server", "/export/dump")
        self.engine.once(*mounts, "--entrypoint", "devpi-export", image, *line).succeeds()
        return volume

    def imported(self, volume, name):
        data = self.engine.volume(f"{name}-data")
        mounts = ("-v", f"{data}:/devpi/server", "-v", f"{volume}:/export")
        line = ("--serverdir", "/devpi/server", "/export/dump")
        self.engine.once(*mounts, "--entrypoint", "devpi-import", self.images["devpi"], *line).succeeds()
        self.serve(name, data)
        self.installs(name)

    def moved(self):
        self.engine.docker("stop", "-t", "60", self.engine.called("server")).succeeds()
        self.imported(self.exported(self.images["devpi"], self.data, ""), "moved")

    def from_devpi(self):
        old = self.engine.volume("old")
        image = self.images["devpi-server"]
        options = ["-p", "127.0.0.1::3141", *self.network, "--network-alias", "old", "-v", f"{old}:/devpi/server"]
        self.engine.start("old", *options, "-e", f"DEVPI_PASSWORD={PASSWORD}", image)
        url = f"http://{self.engine.port('old', 3141)}"
        self.engine.waits(lambda: get(f"{url}/+api")[0], 200, 180)
        for line in (
            "devpi use http://old:3141",
            f"devpi login root --password {PASSWORD}",
            "devpi user -c local password=pw",
            "devpi login local --password=pw",
            "devpi index -c local/stable bases=root/pypi volatile=False",
            "devpi use local/stable",
            "devpi upload private_package-0.1.0-py3-none-any.whl",
        ):
            self.people.types(line).succeeds()
        self.engine.docker("stop", "-t", "60", self.engine.called("old")).succeeds()
        self.imported(self.exported(image, old, "devpi"), "taken-over")

    def refused(self):
        said = self.engine.once(self.images["devpi"], "--no-such-option", seconds=30)
        said.fails().says("--no-such-option")
        if "Traceback" in said.text or "panicked" in said.text:
            raise Failed("it crashed")
        return said.tail()[:120]
