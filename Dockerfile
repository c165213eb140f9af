# The gateway as an image: what `hotspare deploy --format kubernetes` names.
#
#   docker build -t REGISTRY/hotspare:0.1.0 .      (podman and buildah take the same)
#   docker run --rm -p 127.0.0.1:8484:8484 -e ANTHROPIC_API_KEY -e OPENAI_API_KEY \
#       -v $PWD/hotspare.yaml:/etc/hotspare/hotspare.yaml:ro REGISTRY/hotspare:0.1.0
#
# The second stage holds the program, its libraries and the certificate authorities: no compiler, and no
# key. It runs as user 65532, writes nothing but to `state_dir`, and listens where the file says:
# beyond loopback (listen: 0.0.0.0:8484), which needs `keys`.
ARG DEBIAN=debian:12-slim

FROM ${DEBIAN} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make
COPY . /src
RUN make -C /src install DESTDIR=/out PREFIX=/usr

FROM ${DEBIAN}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libssl3 libuv1 libyaml-0-2 zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/usr/bin/hotspare /usr/bin/hotspare
COPY --from=build /out/usr/share/hotspare /usr/share/hotspare
COPY LICENSE /usr/share/doc/hotspare/LICENSE
USER 65532:65532
EXPOSE 8484
ENTRYPOINT ["/usr/bin/hotspare"]
CMD ["serve", "--config", "/etc/hotspare/hotspare.yaml"]
