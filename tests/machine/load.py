"""Asks both doors by kept connections until SIGUSR1; a request that fails ends it with a failure."""

import http.client
import signal

asked = 0
over = False


def end(*_):
    global over
    over = True


signal.signal(signal.SIGUSR1, end)
doors = [(4040, "/root/pypi/+simple/sieve/"), (3141, "/root/pypi"), (9464, "/readyz")]
kept = [(http.client.HTTPConnection("127.0.0.1", port, timeout=60), path) for port, path in doors]
while not over:
    for connection, path in kept:
        # A connection that the last answer closed is opened again by itself; no request is repeated.
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, (path, answer.status)
        asked += 1
    if asked == 30:
        with open("asked", "w") as file:
            file.write("thirty\n")
with open("asked", "w") as file:
    file.write(f"{asked} requests, none failed\n")
