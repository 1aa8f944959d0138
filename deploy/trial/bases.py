"""The images that the Dockerfiles build on: pulled, or where no registry answers made here under
the same names.

A stand-in holds what the Dockerfiles use of the real one and no more: Debian by debootstrap through
apt's own sources, Rust by the toolchain of this machine, Python by Debian's. Certificates of this
machine go into all of them, since whoever cannot pull mostly sits behind a proxy with its own.
"""

import os
import shutil
import subprocess
import tempfile

from .engine import Failed

# The name, the Debian suite under it, and how it is made on that.
DEBIAN = {"debian:bookworm-slim": "bookworm", "debian:trixie-slim": "trixie"}
OWN_CERTIFICATES = "/usr/local/share/ca-certificates"

INSTALL = (
    "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "
    "--no-install-recommends {packages} && rm -rf /var/lib/apt/lists/*\n"
    "COPY certificates/ " + OWN_CERTIFICATES + "/\nRUN update-ca-certificates\n"
)
RUST = (
    "FROM debian:bookworm-slim\n"
    + INSTALL.format(packages="ca-certificates gcc libc6-dev")
    + "COPY toolchain/ /usr/local/\nENV CARGO_HOME=/usr/local/cargo\n"
)
PYTHON = (
    "FROM debian:trixie-slim\n"
    + INSTALL.format(packages="ca-certificates python3 python3-venv")
    # An environment of its own: into Debian's, pip must not install.
    + "RUN python3 -m venv /opt/python\n"
    "ENV PATH=/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
)
# What Alpine brings, without Alpine: busybox under its many names, and no libc at all.
BUSYBOX = (
    "FROM debian:bookworm-slim AS made\n"
    + INSTALL.format(packages="ca-certificates busybox-static")
    + "RUN mkdir -p /made/bin /made/usr/bin /made/etc /made/var/lib /made/tmp && cp /bin/busybox /made/bin/ "
    "&& for name in $(/bin/busybox --list); do [ $name = busybox ] || ln -s busybox /made/bin/$name; done "
    "&& echo root:x:0:0:root:/:/bin/sh >/made/etc/passwd && chmod 1777 /made/tmp\n"
    "FROM scratch\nCOPY --from=made /made/ /\n"
)


class Bases:
    """Sees to it that base images are there, and remembers where each came from."""

    def __init__(self, engine, debootstrap_script, keep):
        self.engine, self.mirror = engine, debootstrap_script
        self.label = "cheesecloth.trial=bases" if keep else engine.label()
        self.origins = {}

    def need(self, name, make):
        """Takes the image that is here, pulls it, or makes it."""
        if self.engine.has_image(name):
            self.origins[name] = "was here"
        elif self.engine.docker("pull", "-q", name).code == 0:
            self.origins[name] = "pulled"
        else:
            self.origins[name] = make()
        return self.origins[name]

    def debian(self, name):
        return self.need(name, lambda: self.bootstrap(name, DEBIAN[name]))

    def bootstrap(self, name, suite):
        debootstrap = shutil.which("debootstrap", path=os.environ["PATH"] + ":/usr/sbin")
        if not debootstrap:
            raise Failed(f"{name} cannot be pulled, and debootstrap is not installed to make it")
        with tempfile.TemporaryDirectory(prefix="cheesecloth-trial-") as folder:
            line = [debootstrap, "--variant=minbase", suite, folder, *self.mirror]
            self.engine.run(*line, seconds=3600).succeeds()
            # Devices are the engine's; lists and packages are got again where they are needed.
            packed = ["tar", "-C", folder, "-c", "--exclude=./dev/*", "--exclude=./var/cache/apt/archives/*.deb"]
            packed += ["--exclude=./var/lib/apt/lists/*", "."]
            importing = ["docker", "import", "--change", f"LABEL {self.label}", "-", name]
            self.engine.write(f"$ {' '.join(packed)} | {' '.join(importing)}")
            tar = subprocess.Popen(packed, stdout=subprocess.PIPE)
            taken = subprocess.run(
                importing, stdin=tar.stdout, stdout=self.engine.log, env=self.engine.environment
            )
            if tar.wait() or taken.returncode:
                raise Failed(f"{name} could not be imported")
        return f"made: debootstrap {suite}"

    def rust(self, name):
        def make():
            self.debian("debian:bookworm-slim")
            told = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True)
            sysroot = told.stdout.strip()
            with self.context(RUST) as folder:
                for part in ("bin", "lib", "libexec"):
                    if os.path.isdir(os.path.join(sysroot, part)):
                        shutil.copytree(os.path.join(sysroot, part), f"{folder}/toolchain/{part}", symlinks=True)
                self.put(folder, name)
            return "made: Debian's gcc and this machine's Rust"

        return self.need(name, make)

    def python(self, name):
        def make():
            self.debian("debian:trixie-slim")
            with self.context(PYTHON) as folder:
                self.put(folder, name)
            return "made: Debian's Python and pip"

        return self.need(name, make)

    def busybox(self, name):
        def make():
            self.debian("debian:bookworm-slim")
            with self.context(BUSYBOX) as folder:
                self.put(folder, name, self.engine.label())
            return "made: Debian's static busybox and no libc"

        return self.need(name, make)

    def context(self, dockerfile):
        folder = tempfile.TemporaryDirectory(prefix="cheesecloth-trial-")
        certificates = os.path.join(folder.name, "certificates")
        os.makedirs(certificates)
        if os.path.isdir(OWN_CERTIFICATES):
            for name in os.listdir(OWN_CERTIFICATES):
                if name.endswith(".crt"):
                    shutil.copy(os.path.join(OWN_CERTIFICATES, name), certificates)
        with open(os.path.join(folder.name, "Dockerfile"), "w", encoding="utf-8") as file:
            file.write(dockerfile)
        return folder

    def put(self, folder, name, label=None):
        line = ("build", "--label", label or self.label, "-t", name, folder)
        self.engine.docker(*line, seconds=3600).succeeds()
