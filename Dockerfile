# syntax=docker/dockerfile:1
# The gateway as an image of a few files: the program, the shared libraries it names, the
# authorities it trusts. No shell, no package manager, no root.
#
# The build steps are one script, deploy/build.sh, so that they can be tried without a Docker
# engine; CI runs it in an empty directory and starts what it made.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    deploy/build.sh /image

FROM scratch
COPY --from=build /image /
# By number: Kubernetes' `runAsNonRoot` cannot look a name up.
USER 65532:65532
# 8080: requests, as in the examples. 9902: /live, /ready and /metrics, where `admin.probes` is set.
EXPOSE 8080 9902
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/edgespan"]
CMD ["run", "--config", "/etc/edgespan/edgespan.yaml"]
