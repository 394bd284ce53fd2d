# A menu over scripts/; every recipe is a script that also runs by itself.

# Lists the recipes.
default:
    @just --list --unsorted

# Starts the embedded platform.
up:
    cargo run --release

# Installs what is missing and runs tests; arguments go to cargo nextest.
test *args:
    scripts/test {{ args }}

# Is everything formatted?
fmt-check:
    scripts/fmt-check

# Clippy, warnings are errors.
lint:
    scripts/lint

# Formatting and Clippy of the fuzz targets.
fuzz-check:
    scripts/fuzz-check

# Fuzzes; arguments are seconds and targets.
fuzz *args:
    scripts/fuzz {{ args }}

# Documentation, warnings are errors.
doc:
    scripts/doc

# Is docs/configuration.md what the types say?
generated-fresh:
    scripts/generated-fresh

# The Dockerfile and compose.yaml.
deploy-check:
    scripts/deploy-check

# Faults under load, again and again, and a table of what came of them.
faults *args:
    scripts/faults {{ args }}

# The official conformance suite, through RabbitMQ and two gateways; arguments are runs.
conformance *args:
    scripts/conformance {{ args }}

# MCP clients of other makers, each in every mode; an argument selects.
clients *args:
    scripts/clients {{ args }}

# Measures speed on a broker of its own, for a quiet machine; --help lists the parts.
bench *args:
    scripts/bench {{ args }}

# All of it, as CI does.
ci:
    .ci/run

# RabbitMQ, gateway and workers in containers.
compose-up:
    docker compose up --build
