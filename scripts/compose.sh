#!/bin/sh
# A whole run in containers:  [DATA=my_galaxies.pt] [WORLD_SIZE=8] ... scripts/compose.sh
# The variables are those of docker-compose.yml. Docker speaks of mounts and casts where one of them is wrong, so they are
# checked here first.
cd -- "$(dirname -- "$0")/.." || exit 1

refuse() {
    echo "cosmicai: $*" >&2
    exit 2
}

# NAME VALUE: a whole number from 1 up to a highest one
number() {
    case $2 in '' | *[!0-9]* | 0* | ????????*) refuse "$1 is '$2'; allowed: a whole number from 1 to $3" ;; esac
    [ "$2" -le "$3" ] || refuse "$1 is '$2'; allowed: a whole number from 1 to $3"
}

# NAME PATH WHAT: something that is there, if it is named at all
there() {
    [ -z "$2" ] || [ -e "$2" ] || refuse "$1 $2 does not exist: name $3"
}

# NAME PATH WHAT: a file that the build can copy
inside() {
    case $2 in /* | ../* | */../*) refuse "$1 $2 is not in this folder, from which Docker copies: put it into models/" ;; esac
    there "$1" "$2" "$3"
}

number WORLD_SIZE "${WORLD_SIZE:-4}" 128
number BATCH_SIZE "${BATCH_SIZE:-256}" 16384
number RANK_MEMORY_MB "${RANK_MEMORY_MB:-1769}" 10240
there DATA "${DATA:-}" 'a dataset, or a folder of partitions'
there MODEL "${MODEL:-}" 'weights (.safetensors) or a network (.onnx)'
inside CHECKPOINT "${CHECKPOINT:-}" 'weights in models/'
inside CALIBRATION "${CALIBRATION:-}" 'what cosmicai calibrate has written, in models/'
inside ONNX_MODEL "${ONNX_MODEL:-}" 'a network (.onnx) in models/'
inside ONNX_CALIBRATION "${ONNX_CALIBRATION:-}" 'what cosmicai calibrate has written, in models/'
case ${LAMBDA_TARGET:-full}:${MODEL:-} in
    slim:?*) refuse "MODEL $MODEL needs PyTorch, which LAMBDA_TARGET=slim leaves out: give no LAMBDA_TARGET" ;;
    full:*.onnx) refuse "MODEL $MODEL needs LAMBDA_TARGET=onnx" ;;
    full:* | slim: | onnx:*) ;;
    *) refuse "LAMBDA_TARGET is '$LAMBDA_TARGET'; allowed: full, slim, onnx" ;;
esac
case ${OUT:-./out} in */*) ;; *) refuse "OUT is '$OUT'; allowed: a folder with a / in it, as ./$OUT" ;; esac
docker compose version >/dev/null 2>&1 ||
    refuse 'Docker Compose v2 is needed (docker compose, not docker-compose): https://docs.docker.com/compose/install/'
exec docker compose up --build --exit-code-from run
