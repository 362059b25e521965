# The program in a small image: docker build -t profile-linker .
FROM rust:1.95-bookworm AS build
WORKDIR /build
# librdkafka and ring are built from source with cc, make and perl, which this image has.
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --release --bin profile-linker \
    && cp target/release/profile-linker /profile-linker

FROM debian:bookworm-slim
# For the vendors and the ledger the program brings its own root certificates; Kafka's client looks for the system's.
# zlib is all else that it takes from the system beside libc.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home profile-linker
COPY --from=build /profile-linker /usr/local/bin/profile-linker
USER 10001
# It writes nothing to disk: the ledger is a database, the logs go to standard error.
ENTRYPOINT ["profile-linker"]
CMD ["run"]
