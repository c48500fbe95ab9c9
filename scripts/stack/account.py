"""An AWS account in one region, by the usual AWS_* variables and profiles, and its refusals in one line each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from lambda_image.errors import RunError, UsageError

ATTEMPTS = 8  # of a request; boto3's adaptive mode slows down where AWS asks for it
MESSAGE_CHARACTERS = 600
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
UNKNOWN = {
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "AuthFailure",
    "InvalidToken",
}
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "AuthorizationError"}
THROTTLED = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
LOG_IN = "log in again (aws sso login, or new AWS_* variables)"


class AccountError(RunError):
    """AWS refuses something, or does not answer. The message says what to do next."""


@dataclass(frozen=True)
class Account:
    """An account in one region."""

    session: boto3.Session
    region: str
    number: str  # of the account, 12 digits
    caller: str  # the ARN of who asks

    @classmethod
    def open(cls, profile: str | None, region: str | None) -> "Account":
        """Finds out who asks, and where.

        Args:
            profile: a profile of ~/.aws/config; None takes what the environment says.
            region: a region; None takes the profile's or the environment's.

        Raises:
            UsageError: there is no such profile, or no region.
            AccountError: there are no credentials, or AWS does not take them.
        """
        try:
            # The AWS command line reads AWS_REGION, and boto3 only AWS_DEFAULT_REGION.
            session = boto3.Session(profile_name=profile, region_name=region or os.environ.get("AWS_REGION") or None)
        except ProfileNotFound as error:
            raise UsageError(f"--profile is {profile}: {error}") from error
        if not session.region_name:
            raise UsageError("no region is named: give --region or set AWS_REGION")
        with explained():
            client: Any = session.client("sts", config=_config())
            identity = client.get_caller_identity()
        return cls(session, session.region_name, identity["Account"], identity["Arn"])

    def client(self, service: str) -> Any:
        """Makes a client of a service in this region."""
        make_client: Any = self.session.client  # typed for each service by name, which is not known here
        return make_client(service, config=_config())


def _config() -> Config:
    return Config(retries={"mode": "adaptive", "max_attempts": ATTEMPTS})


@contextmanager
def explained() -> Iterator[None]:
    """Turns what boto3 raises into an AccountError of one line with the next step."""
    try:
        yield
    except ClientError as error:
        raise AccountError(_refusal(error)) from error
    except (TokenRetrievalError, UnauthorizedSSOTokenError) as error:
        raise AccountError(f"the credentials have expired: {LOG_IN}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccountError(f"{_one_line(error)}: set AWS_PROFILE, or run aws configure") from error
    except NoRegionError as error:
        raise UsageError("no region is named: give --region or set AWS_REGION") from error
    except EndpointConnectionError as error:
        raise AccountError(f"{_one_line(error)}: is the region one, and the network up?") from error
    except (ConnectionError, HTTPClientError) as error:
        raise AccountError(f"AWS does not answer: {_one_line(error)}") from error
    except BotoCoreError as error:
        raise AccountError(_one_line(error)) from error


def code_of(error: ClientError) -> str:
    """Returns the code by which a service names the refusal, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: ClientError) -> str:
    code, told = code_of(error), f"{error.operation_name}: {_one_line(error.response['Error'].get('Message') or error)}"
    if code in EXPIRED:
        return f"the credentials have expired: {LOG_IN}"
    if code in UNKNOWN:
        return f"AWS does not know these credentials ({code}): check AWS_PROFILE and the AWS_* variables"
    if code in DENIED:
        return f"AWS denies {told}. Ask whoever looks after the account for this permission"
    if code in THROTTLED:
        return f"AWS still asks to slow down after {ATTEMPTS} tries of {error.operation_name}: try again in a minute"
    return f"AWS refuses {told} ({code})"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:MESSAGE_CHARACTERS]
