"""An S3 server in memory for the tests, with a side door that looks at and changes its objects without S3.

A server that honours no conditions on writes is the same one, to which they are not told (--blind).
"""

import json
import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "wheels"
SIDE_DOOR = "/+side/"
NO_S3 = "/+none/"

is_blind = "--blind" in sys.argv
s3 = DomainDispatcherApplication(create_backend_app)
backend = s3_backends["123456789012"]["aws"]
backend.create_bucket(BUCKET, "us-east-1")


def answer(start, status, body):
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def side_door(environ, start, name):
    objects = backend.buckets[BUCKET].keys
    if environ["REQUEST_METHOD"] == "PUT":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        backend.put_object(BUCKET, name, environ["wsgi.input"].read(length))
    if environ["REQUEST_METHOD"] == "DELETE":
        backend.delete_object(BUCKET, name)
    listing = {name: one.size for name, one in list(objects.items())}
    return answer(start, "200 OK", json.dumps(listing).encode())


def serve(environ, start):
    path = environ["PATH_INFO"]
    if path.startswith(SIDE_DOOR):
        return side_door(environ, start, path.removeprefix(SIDE_DOOR))
    if path.startswith(NO_S3):
        return answer(start, "404 Not Found", b"nothing here")
    if is_blind:
        environ.pop("HTTP_IF_NONE_MATCH", None)
    return s3(environ, start)


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


server = make_server("127.0.0.1", 0, serve, threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
