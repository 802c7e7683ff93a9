# Two stages: a static binary, and an image with nothing but it, certificates and time zones.
#   docker build -t hookloom .
#   docker run -v ./shop:/project -v hookloom-data:/data -p 8080:8080 hookloom
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# SQLite is C: linked statically, with Go's own resolver, so that the image needs no libc.
RUN CGO_ENABLED=1 go build -trimpath -tags 'netgo osusergo sqlite_omit_load_extension timetzdata' \
      -ldflags '-s -w -linkmode external -extldflags "-static"' -o /out/hookloom . \
 && mkdir -p /out/data /out/project

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/hookloom /hookloom
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/project /project
# Nothing but /data is written: run it with --read-only.
USER 65532:65532
WORKDIR /project
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/hookloom", "health", "--dir", "/project", "--db", "/data/hookloom.db"]
ENTRYPOINT ["/hookloom"]
CMD ["serve", "/project", "--db", "/data/hookloom.db", "--addr", ":8080", "--admin-addr", "127.0.0.1:8081"]
