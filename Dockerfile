# One image for every step of the pipeline, on Kubeflow, on Vertex AI and as a worker of Beam. docs/image.md tells how it
# is built, also where no registry can be reached.

# Line a is Python 3.10, line b 3.11 to 3.13 with glibc 2.39 or newer; the base has to fit. The variant is cpu or gpu.
ARG LINE=b
ARG VARIANT=cpu
ARG BASE=python:3.13.9-slim-trixie
ARG GO_BASE=golang:1.26.0-trixie


# Beam's own start program of a worker, of the locked version.
FROM ${GO_BASE} AS boot
ARG LINE
COPY requirements/line-${LINE}.txt /lock.txt
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=go,target=/run/secrets/go.env \
    --mount=type=cache,target=/go/pkg --mount=type=cache,target=/go/cache \
    version=$(sed -n 's/^apache-beam==\([0-9.]*\).*/\1/p' /lock.txt) \
    && GOENV=/run/secrets/go.env GOPATH=/go GOCACHE=/go/cache GOBIN=/opt/apache/beam CGO_ENABLED=0 \
    go install -trimpath "-ldflags=-s -w" "github.com/apache/beam/sdks/v2/python/container@v${version}" \
    && mv /opt/apache/beam/container /opt/apache/beam/boot


FROM ${BASE} AS environment
RUN --mount=type=secret,id=apt,target=/etc/apt/sources.list.d/build.list \
    apt-get update && apt-get install --yes --no-install-recommends g++ \
    $(dpkg-query --show --showformat='${Package}-dev ${Package}-venv' python3 2>/dev/null)
WORKDIR /opt/lcr-ser
COPY scripts/__init__.py scripts/errors.py scripts/gpu.py scripts/image.py scripts/interpreters.py scripts/mirror.py \
    scripts/requisites.py scripts/setup.py scripts/stages.py scripts/
COPY requirements requirements
COPY pyproject.toml README.md LICENSE ./
COPY tfx_pipeline/__init__.py tfx_pipeline/
COPY tfx_pipeline/environment/__init__.py tfx_pipeline/environment/packages.py tfx_pipeline/environment/
ARG LINE
ARG VARIANT
RUN --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m scripts.image packages "${LINE}" "${VARIANT}"
COPY . .
RUN python3 -m scripts.image project && rm -r .venv-bootstrap


FROM ${BASE}
# A cluster may start a step as any user of group 0. KFP's launcher writes to the three folders in the root.
RUN useradd --uid 1000 --gid 0 --create-home ranker \
    && mkdir -p /gcs /minio /s3 /home/ranker/.cache/matplotlib \
    && chown -R ranker:0 /gcs /minio /s3 /home/ranker && chmod -R g=u /gcs /minio /s3 /home/ranker \
    && python3 -m compileall -q -j 0 -x '/tests?/' "$(python3 -c 'import os; print(os.path.dirname(os.__file__))')"
ENV HOME=/home/ranker \
    USER=ranker \
    PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    MPLCONFIGDIR=/home/ranker/.cache/matplotlib \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    TF_USE_LEGACY_KERAS=1 \
    TF_CPP_MIN_LOG_LEVEL=1 \
    GRPC_VERBOSITY=ERROR
COPY --from=boot /opt/apache/beam/boot /opt/apache/beam/boot
COPY --from=environment /opt/venv /opt/venv
COPY --from=environment /opt/lcr-ser /opt/lcr-ser
# Beam's start program writes a file into its working directory.
WORKDIR /home/ranker
USER 1000:0
ARG VARIANT
RUN umask 0002 && python -m tfx_pipeline.environment.health "${VARIANT}"
