# syntax=docker/dockerfile:1
# Violet in a container: `docker build --target cpu -t violet .` (the default), or `--target cuda` for NVIDIA GPUs.
# One image serves every role: `docker run violet proxy ..`, `miner ..`, `validator ..`; compose.yaml shows them together.

ARG PYTHON=3.12
ARG RUST=1.95

FROM rust:${RUST}-slim-bookworm AS rust

FROM python:${PYTHON}-slim-bookworm AS build
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/opt/violet/bin:/usr/local/cargo/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# A compiler of this Debian release, whichever is current.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/violet
WORKDIR /src
# The locked packages come first: they change less often than the sources.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock
COPY . .
# FEATURES is the crate's: `python`, or `python,cuda`, which needs no CUDA to build.
ARG FEATURES=python
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    maturin build --release --locked --compatibility linux --features "$FEATURES" --out /wheels \
    && pip install --no-deps /wheels/*.whl \
    && pip uninstall --yes maturin

FROM python:${PYTHON}-slim-bookworm AS runtime
# Wallets, models and state live below /data, which is a volume; nothing else is written. A volume that is mounted on one of
# the folders takes its owner from the image; where the folder was missing there, it would be root's.
RUN useradd --uid 10001 --create-home --home-dir /data --shell /usr/sbin/nologin violet \
    && install --directory --owner=violet --group=violet /data/chain /data/models /data/proxy /data/state /data/wallets
ENV PATH=/opt/violet/bin:$PATH PYTHONUNBUFFERED=1 HOME=/data \
    VIOLET_CACHE=/data/models XDG_DATA_HOME=/data/state BT_WALLET_PATH=/data/wallets VIOLET_PROXY_DATA_DIR=/data/proxy
WORKDIR /data
VOLUME /data
USER 10001
COPY deploy/healthcheck.py /opt/healthcheck.py
# 8080: the proxy; 8091: a miner's axon.
EXPOSE 8080 8091
HEALTHCHECK --interval=30s --timeout=10s --start-period=180s CMD ["python", "/opt/healthcheck.py"]
# `docker run violet proxy ..`; a host that gives the whole command (`violet proxy ..`) is understood as well.
ENTRYPOINT ["/bin/sh", "-c", "test \"$0\" = violet || set -- \"$0\" \"$@\"; exec violet \"$@\""]
CMD ["--help"]

FROM runtime AS cpu
COPY --from=build /opt/violet /opt/violet

FROM build AS build-cuda
RUN pip install "nvidia-cublas>=13,<14" "nvidia-cuda-nvrtc>=13,<14"

# Build with `--target cuda --build-arg FEATURES=python,cuda`; the driver comes with the NVIDIA container toolkit.
FROM runtime AS cuda
COPY --from=build-cuda /opt/violet /opt/violet
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM cpu
