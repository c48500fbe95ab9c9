#!/bin/sh
# What the image starts: AWS's runtime client with the handler that the command names.
if [ -n "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec python -m awslambdaric "$@"
fi
if command -v aws-lambda-rie >/dev/null; then
    exec aws-lambda-rie /opt/venv/bin/python -m awslambdaric "$@"
fi
cat >&2 <<TEXT
This is the image of a Lambda function, and AWS_LAMBDA_RUNTIME_API does not say where it is to get its work. To run it

  with everything around it:  docker compose up
  on AWS:                     push it to ECR, and name it as the function's image, with the command $*
  by hand:                    put AWS's Runtime Interface Emulator at /usr/local/bin/aws-lambda-rie (docker run --volume),
                              publish port 8080, and POST events to /2015-03-31/functions/function/invocations
TEXT
exit 64
