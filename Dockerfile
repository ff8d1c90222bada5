# Images of this project. The default is the gateway; the others are chosen with --target:
#
#   docker build -t otelvllm-gateway .                            the gateway, static, in an image with nothing else
#   docker build -t otelvllm-gateway-nvml --target gateway-nvml . the same with GPU metrics, which need glibc
#   docker build -t otelvllm-monitor --target monitor .           the terminal view
#
# collector, fakevllm and load are for docker-compose.yml. An image without a shell has /probe for its health check.

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS source
ENV GOTOOLCHAIN=local
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY otelvllm otelvllm
COPY gpumetrics gpumetrics
COPY examples examples
COPY test/fakevllm test/fakevllm

FROM source AS build
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags='-s -w' -o /out/ ./examples/gateway ./examples/monitor ./examples/probe
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags='-s -w' -o /out/ ./examples/load ./test/fakevllm
RUN mkdir -p /out/empty

# Without --platform: cgo needs the C compiler of the machine that the program is for.
FROM golang:1.26.8-bookworm AS build-nvml
ENV GOTOOLCHAIN=local
WORKDIR /src
COPY --from=source /src .
# Functions that an older driver lacks must stay unresolved until they are called, or the program does not start.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 \
    go build -trimpath -ldflags='-s -w -extldflags=-Wl,-z,lazy' -o /out/ ./examples/gateway

FROM scratch AS monitor
COPY --from=build /out/monitor /monitor
COPY LICENSE /LICENSE
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/monitor"]

FROM scratch AS load
COPY --from=build /out/load /load
COPY LICENSE /LICENSE
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/load"]

FROM scratch AS fakevllm
COPY --from=build /out/fakevllm /out/probe /
COPY LICENSE /LICENSE
USER 65532:65532
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/probe", "http://127.0.0.1:8000/health"]
ENTRYPOINT ["/fakevllm", "-host", "0.0.0.0"]

# The Collector's own image has no program that could ask it how it is, and no folder that its user may write to. A new
# volume takes owner and mode of the folder it is mounted on.
FROM otel/opentelemetry-collector-contrib:0.161.0 AS collector
COPY --from=build /out/probe /probe
COPY --from=build --chown=10001:10001 /out/empty /var/lib/otelcol
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/probe", "http://127.0.0.1:13133/"]

FROM debian:12.14-slim AS gateway-nvml
ARG VERSION=0.1.0-dev REVISION=unknown
LABEL org.opencontainers.image.title="otelvllm gateway with GPU metrics" \
      org.opencontainers.image.description="Traces and metrics of the requests to vLLM, and of its GPUs" \
      org.opencontainers.image.source="https://github.com/otelvllm/otelvllm-go" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build-nvml /out/gateway /gateway
COPY --from=build /out/probe /probe
COPY LICENSE /LICENSE
# NVML is the driver's; the container toolkit brings it in for "utility", and nothing that computes.
ENV OTELVLLM_LISTEN=0.0.0.0:8080 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=utility
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/probe", "http://127.0.0.1:9091/healthz"]
ENTRYPOINT ["/gateway"]

FROM scratch AS gateway
ARG VERSION=0.1.0-dev REVISION=unknown
LABEL org.opencontainers.image.title="otelvllm gateway" \
      org.opencontainers.image.description="Traces and metrics of the requests to vLLM" \
      org.opencontainers.image.source="https://github.com/otelvllm/otelvllm-go" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/gateway /out/probe /
COPY LICENSE /LICENSE
# The admin address stays 127.0.0.1:9091, in the container, unless OTELVLLM_ADMIN says otherwise.
ENV OTELVLLM_LISTEN=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/probe", "http://127.0.0.1:9091/healthz"]
ENTRYPOINT ["/gateway"]
