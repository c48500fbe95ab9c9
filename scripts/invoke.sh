#!/bin/sh
# A run on a local AWS endpoint:  AWS_ENDPOINT_URL=http://127.0.0.1:4566 scripts/invoke.sh [input.json | --data FILE]
# The variable may be left out where `SERVE=1 docker compose up serve` has the endpoint on its usual port.
repository=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
test -x "$repository/.venv/bin/cosmicai" || make -C "$repository" .venv/demo || exit 1
AWS_ENDPOINT_URL=${AWS_ENDPOINT_URL-http://127.0.0.1:4566} exec "$repository/.venv/bin/cosmicai" invoke "$@"
