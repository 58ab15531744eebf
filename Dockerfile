# The service with the default model: no PyTorch, no root user, writes only to /data.
# docker build -t rasd . && docker run -p 127.0.0.1:8000:8000 -e RASD_API_KEYS=desk:KEY rasd

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY serving serving
COPY training training
# Compile the byte code now: a read-only root file system cannot store it later.
RUN python -m venv /opt/rasd \
 && /opt/rasd/bin/pip install --no-cache-dir --compile --constraint constraints.txt ".[postgres]"

FROM python:3.13-slim
COPY --from=build /opt/rasd /opt/rasd
COPY configs/container.yaml /etc/rasd/serve.yaml
RUN useradd --system --uid 10001 --home-dir /data --no-create-home rasd \
 && install -d -o rasd -g rasd /data
ENV PATH=/opt/rasd/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
# On SIGTERM the service completes the requests in flight: allow more than limits.drain_seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["rasd", "serve", "--config", "/etc/rasd/serve.yaml"]
