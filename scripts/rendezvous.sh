#!/bin/sh
# A rendezvous server on AWS that stands between runs:  scripts/rendezvous.sh up | down | status
repository=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
test -x "$repository/.venv/bin/cosmicai" || make -C "$repository" .venv/demo || exit 1
exec "$repository/.venv/bin/cosmicai" rendezvous "$@"
