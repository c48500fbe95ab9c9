#!/bin/sh
# The system on AWS, with the flags of `cosmicai deploy`:  scripts/deploy.sh --region eu-west-1
repository=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
test -x "$repository/.venv/bin/cosmicai" || make -C "$repository" .venv/demo || exit 1
exec "$repository/.venv/bin/cosmicai" deploy "$@"
