"""Requests from all doors over kept-alive connections until SIGUSR1; exits with an error if a request fails."""

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
        # http.client reopens a connection that the last answer closed; no request is repeated.
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
