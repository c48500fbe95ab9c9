"""The local endpoint with a state machine that has a role, and an S3 that answers 403 for what is missing, as AWS does.

    python enforcing_endpoint.py CREDENTIALS --port 0 --workers 0

CREDENTIALS is a file that is not there yet. Once it is, the state machine asks S3 with the credentials in it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from moto.iam.access_control import IAMRequest
from moto.s3 import responses

from statemachine.local.__main__ import main

CREDENTIALS = Path(sys.argv[1])
INTERPRETER = "ak"  # by which moto's interpreter of the Amazon States Language asks for everything
make_client: Any = boto3.client


def client_of_a_role(*args: Any, **given: Any) -> Any:
    if given.get("aws_access_key_id") == INTERPRETER and CREDENTIALS.exists():
        given |= json.loads(CREDENTIALS.read_text())
    return make_client(*args, **given)


def only_who_may_list_learns_what_is_missing(method: Any) -> Any:
    def answer(response: Any, *args: Any, **given: Any) -> Any:
        try:
            return method(response, *args, **given)
        except responses.MissingKey:
            response.data["Action"] = "ListBucket"
            response._authenticate_and_authorize_s3_action(bucket_name=response.bucket_name)
            raise

    return answer


boto3.client = client_of_a_role
IAMRequest.check_signature = lambda _: None  # the endpoint gives executions names, which changes what was signed
responses.S3Response._get_key = only_who_may_list_learns_what_is_missing(responses.S3Response._get_key)
raise SystemExit(main(sys.argv[2:]))
