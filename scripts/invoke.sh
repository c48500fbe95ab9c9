#!/bin/sh
# A run, with the flags of `cosmicai invoke`:  scripts/invoke.sh --data FILE     on a local AWS endpoint
#                                             scripts/invoke.sh --region eu-west-1 --data-prefix PREFIX     on AWS
# Unless a flag means AWS or AWS_ENDPOINT_URL says otherwise, the endpoint is that of `SERVE=1 docker compose up serve`.
repository=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
test -x "$repository/.venv/bin/cosmicai" || make -C "$repository" .venv/demo || exit 1
case " $*" in
*" --region"* | *" --stack"* | *" --profile"*) ;;
*) export AWS_ENDPOINT_URL="${AWS_ENDPOINT_URL-http://127.0.0.1:4566}" ;;
esac
exec "$repository/.venv/bin/cosmicai" invoke "$@"
