# A devpi-server, for docker-compose.devpi.yml. Yours may be any other image; only the port counts.
FROM python:3.13-slim
RUN pip install --no-cache-dir devpi-server \
    && useradd --create-home --uid 10003 devpi && install -d -o devpi /devpi/server
USER devpi
VOLUME /devpi/server
EXPOSE 3141
# The first process of a container is not ended by a SIGTERM that it has no handler for.
STOPSIGNAL SIGINT
# A folder without a server gets one at the first start.
ENTRYPOINT ["sh", "-c", "[ -e /devpi/server/.serverversion ] || devpi-init --serverdir /devpi/server --root-passwd \"$DEVPI_PASSWORD\"; exec devpi-server --serverdir /devpi/server --host 0.0.0.0 --port 3141 \"$@\"", "devpi-server"]
