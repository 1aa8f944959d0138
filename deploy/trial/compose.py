"""Both compose files: D2, a company's index in the place of load balancer and server, and the gateway
before a devpi-server."""

import json
import os
import re
import shlex
import tempfile

from .clients import Client, distutils_files
from .engine import BUILD_SECONDS, Failed
from .web import get, wheel


class Compose:
    """One compose file with the trial's own names for images, and any free port on loopback; all else
    is taken as it is."""

    def __init__(self, engine, images, file, arguments):
        self.engine, self.images = engine, images
        with open(os.path.join("deploy", file), encoding="utf-8") as opened:
            text = opened.read()
        text = text.replace("image: cheesecloth-client", f"image: {images['client']}")
        text = text.replace("image: cheesecloth\n", f"image: {images['gateway']}\n")
        # The same arguments as the images before: nothing is built twice.
        label = f"labels: {{ cheesecloth.trial: {engine.name} }}"
        given = json.dumps([argument for argument in arguments if argument != "--build-arg"])
        text = text.replace("build: { ", f"build: {{ {label}, args: {given}, ")
        text = re.sub(r'- "(?:127\.0\.0\.1:)?\d+:(\d+)"', r'- "127.0.0.1::\1"', text)
        text = text.replace("deploy/devpi.Dockerfile }", f"deploy/devpi.Dockerfile }}\n    image: {images['devpi-server']}")
        self.file = tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8")
        self.file.write(text)
        self.file.flush()

    def types(self, line, seconds=BUILD_SECONDS):
        """`docker compose -f FILE LINE`, without the file's name in what is shown."""
        words = [*self.engine.compose, "--project-directory", "deploy", "-f", self.file.name, *shlex.split(line)]
        return self.engine.run(*words, seconds=seconds, shown=f"docker compose {line}")

    def address(self, port):
        said = self.types(f"port cheesecloth {port}").succeeds().text.split()
        return "http://" + said[-1].replace("0.0.0.0", "127.0.0.1")

    def up(self):
        self.types("up -d --build").succeeds()
        self.engine.waits(lambda: get(f"{self.address(9464)}/readyz")[0], 200, 120)
        return self.address(4040)

    def client(self, name):
        line = f"run -d --rm --name {self.engine.called(name)} client sleep 7200"
        self.types(line).succeeds()
        return Client(self.engine, name, None)

    def down(self):
        self.types("down -v -t 60").succeeds()
        self.file.close()


class Company(Compose):
    def rows(self, table):
        if not table.row("D2.1", "docker compose -f deploy/docker-compose.yml up -d --build", self.up):
            return
        table.row("D2.3", "docker compose run --rm client", self.people)
        table.row("D2.4", "devpi login root --password ''; devpi user -m root password=123", self.root)
        table.row("D2.5", "devpi user -c u email=… password=…; getjson; user u -y --delete", self.users)
        table.row("D2.6", "devpi index -c dairy bases=root/pypi volatile=False", self.index)
        table.row("D2.7", "devpi index /root/dairy acl_upload=u1,u3 and += and -=", self.who_may)
        table.row("D2.10", "setup.py register; sdist, bdist_egg, bdist_wheel upload -r devpi", self.legacy)
        table.row("D2.2", "http://<lb> and http://<lb>/root/dairy in a browser", self.browser)
        table.row("D2.8", "pip.conf with /root/dairy/+simple/; pip install --trusted-host <lb>", self.pip)
        table.row("D2.8", ".pydistutils.cfg; easy_install", self.easy_install)
        table.row("D2.9", "pip search", self.search)
        table.row("D2.11", "pip install of a project that is only upstream", self.upstream)
        table.row("compose", "down, then up: volume and uploads are there", self.again)
        table.row("compose", "down -v", self.down)

    def people(self):
        self.devpi = self.client("company-people")
        self.devpi.types("devpi use http://localhost:3141").succeeds()

    def root(self):
        self.devpi.types("devpi login root --password ''").succeeds()
        self.devpi.types("devpi user -m root password=123").succeeds()
        self.devpi.types("devpi logoff").succeeds()
        self.devpi.types("devpi login root --password ''").fails()
        self.devpi.types("devpi login root --password 123").succeeds()

    def users(self):
        for user in ("u1", "u3", "guest"):
            self.devpi.types(f"devpi user -c {user} email={user}@acme.example password=pw").succeeds()
        self.devpi.types("devpi getjson /guest").succeeds().says('"email": "guest@acme.example"')
        self.devpi.types("devpi user guest -y --delete").succeeds().says("user deleted: guest")
        self.devpi.types("devpi getjson /guest").says("no user 'guest'")

    def index(self):
        self.devpi.types("devpi index -c dairy bases=root/pypi volatile=False").succeeds().says("/root/dairy")

    def who_may(self):
        self.devpi.types("devpi index /root/dairy acl_upload=u3").succeeds().says("acl_upload=u3")
        self.devpi.types("devpi index /root/dairy acl_upload+=u1").succeeds().says("acl_upload=u3,u1")
        self.devpi.types("devpi index /root/dairy acl_upload-=u3").succeeds().says("acl_upload=u1")
        name, content = wheel("dairy-tool", "1.0")
        self.devpi.has({name: content})
        for user in ("u3", "u1"):
            self.devpi.types(f"devpi login {user} --password pw").succeeds()
            self.devpi.types("devpi use root/dairy").succeeds()
            said = self.devpi.types(f"devpi upload {name}")
            if user == "u1":
                said.succeeds()
            else:
                said.fails().says("no permission to submit")

    def legacy(self):
        container = self.types("ps -q cheesecloth").succeeds().text.split()[-1]
        inside = ("--network", f"container:{container}", "-w", "/root")
        self.old = Client(self.engine, "legacy", self.images["legacy"], *inside)
        pypirc = "[distutils]\nindex-servers = devpi\n\n[devpi]\nrepository = http://localhost:3141/root/dairy/\n"
        self.old.has({**distutils_files("dairy-old"), ".pypirc": pypirc + "username = u1\npassword = pw\n"})
        self.old.types("python3 setup.py register -r devpi").succeeds().says("Server response (200)")
        for kind in ("sdist", "bdist_egg", "bdist_wheel"):
            self.old.types(f"python3 setup.py {kind} upload -r devpi").succeeds().says("Server response (200)")
        page = get(f"{self.address(4040)}/root/dairy/+simple/dairy-old/")[1]
        for ending in (".tar.gz", "-py3-none-any.whl", ".egg"):
            if ending not in page:
                raise Failed(f"{ending} is not on the page")

    def browser(self):
        for path, words in (("/", "root/acme"), ("/root/dairy", "dairy-tool")):
            status, page = get(self.address(4040) + path, "text/html,*/*;q=0.8")
            if status != 200 or words not in page:
                raise Failed(f"{path} answers {status}, with {words!r} or without")

    def pip(self):
        # `localhost` is trusted by pip itself; the balancer's name is not.
        network = ("--network", f"{self.engine.name}_default")
        self.elsewhere = Client(self.engine, "installer", self.images["client"], *network)
        self.elsewhere.has({".config/pip/pip.conf": "[global]\nindex-url = http://cheesecloth:4040/root/dairy/+simple/\n"})
        self.elsewhere.installs("dairy-tool", "--trusted-host cheesecloth", version="1.0")

    def easy_install(self):
        self.old.has({".pydistutils.cfg": "[easy_install]\nindex_url = http://localhost:4040/root/dairy/+simple/\n"})
        script = "from setuptools import setup; setup(script_args=['easy_install', '--install-dir', '.', '-m', 'dairy-old'])"
        said = self.old.types(f'mkdir -p e && cd e && PYTHONPATH=. python3 -c "{script}"').succeeds()
        said.says("Finished processing dependencies for dairy-old")

    def search(self):
        for port in (4040, 3141):
            said = self.devpi.types(f"pip search dairy --index http://localhost:{port}/root/dairy/").fails()
            said.says("pip search is not supported here: search by name in a browser at")

    def upstream(self):
        self.elsewhere.installs("simplejson", "--trusted-host cheesecloth")

    def again(self):
        for name in ("company-people", "legacy", "installer"):
            self.engine.docker("rm", "-fv", self.engine.called(name))
        self.types("down -t 60").succeeds()
        self.up()
        if "dairy_tool-1.0" not in get(f"{self.address(4040)}/root/dairy/+simple/dairy-tool/")[1]:
            raise Failed("the upload is gone")


class BeforeDevpi(Compose):
    def rows(self, table):
        typed = "docker compose -f deploy/docker-compose.devpi.yml up -d --build"
        if not table.row("compose", typed, self.up):
            return
        table.row("compose", "devpi-server behind it: user, index, upload, pip install at port 80", self.managed)
        table.row("compose", "down -v", self.down)

    def managed(self):
        devpi = self.client("devpi-manager")
        name, content = wheel("dairy-tool", "1.0")
        devpi.has({name: content})
        ask = "python3 -c \"import urllib.request; urllib.request.urlopen('http://localhost:3141/+api')\""
        self.engine.waits(lambda: devpi.types(ask).code, 0, 180)
        for line in (
            "devpi use http://localhost:3141",
            "devpi login root --password ''",
            "devpi index -c acme bases= volatile=True",
            "devpi use root/acme",
            f"devpi upload {name}",
        ):
            devpi.types(line).succeeds()
        network = ("--network", f"{self.engine.name}_default")
        installer = Client(self.engine, "installer", self.images["client"], *network)
        installer.installs("dairy-tool", "-i http://cheesecloth:4040/root/acme/+simple/ --trusted-host cheesecloth", version="1.0")
        for name in ("devpi-manager", "installer"):
            self.engine.docker("rm", "-fv", self.engine.called(name))
