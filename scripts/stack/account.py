"""An AWS account in one region, by the usual AWS_* variables and profiles, and its refusals in one line each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
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
from botocore.parsers import ResponseParserError

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
    endpoint_url: str | None = None  # asked instead of AWS; None takes what the environment says

    @classmethod
    def open(cls, profile: str | None, region: str | None, endpoint_url: str | None = None) -> "Account":
        """Finds out who asks, and where.

        Args:
            profile: a profile of ~/.aws/config; None takes what the environment says.
            region: a region; None takes the profile's or the environment's.
            endpoint_url: what is asked instead of AWS; None takes what the environment says.

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
            client: Any = session.client("sts", config=_config(endpoint_url), endpoint_url=endpoint_url)
            identity = client.get_caller_identity()
        return cls(session, session.region_name, identity["Account"], identity["Arn"], endpoint_url)

    def client(self, service: str) -> Any:
        """Makes a client of a service in this region."""
        make_client: Any = self.session.client  # typed for each service by name, which is not known here
        return make_client(service, config=_config(self.endpoint_url), endpoint_url=self.endpoint_url)


def _config(endpoint_url: str | None) -> Config:
    elsewhere = endpoint_url or "AWS_ENDPOINT_URL" in os.environ or "AWS_ENDPOINT_URL_S3" in os.environ
    return Config(
        retries={"mode": "adaptive", "max_attempts": ATTEMPTS},
        # Buckets as host names need DNS, which other endpoints than AWS's do not have.
        s3={"addressing_style": "path" if elsewhere else "auto"},
    )


@contextmanager
def explained(who: str = "AWS") -> Iterator[None]:
    """Turns what boto3 raises into an AccountError of one line with the next step.

    Args:
        who: who is asked, as messages have it.
    """
    try:
        yield
    except ClientError as error:
        raise AccountError(_refusal(error, who)) from error
    except (TokenRetrievalError, UnauthorizedSSOTokenError) as error:
        raise AccountError(f"the credentials have expired: {LOG_IN}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise AccountError(f"{_one_line(error)}: set AWS_PROFILE, or run aws configure") from error
    except NoRegionError as error:
        raise UsageError("no region is named: give --region or set AWS_REGION") from error
    except EndpointConnectionError as error:
        what = "is the region one, and the network up?" if who == "AWS" else "is it still running?"
        raise AccountError(f"{_one_line(error)}: {what}") from error
    except (ConnectionError, HTTPClientError) as error:
        raise AccountError(f"{who} does not answer: {_one_line(error)}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise AccountError(_one_line(error)) from error
    except ResponseParserError as error:
        raise AccountError(f"{who} answers what is no answer of AWS's: {_one_line(error)}") from error


def code_of(error: ClientError) -> str:
    """Returns the code by which a service names the refusal, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: ClientError, who: str) -> str:
    code, told = code_of(error), f"{error.operation_name}: {_one_line(error.response['Error'].get('Message') or error)}"
    if code in EXPIRED:
        return f"the credentials have expired: {LOG_IN}"
    if code in UNKNOWN:
        return f"{who} does not know these credentials ({code}): check AWS_PROFILE and the AWS_* variables"
    if code in DENIED:
        return f"{who} denies {told}. Ask whoever looks after the account for this permission"
    if code in THROTTLED:
        return f"{who} still asks to slow down after {ATTEMPTS} tries of {error.operation_name}: try again in a minute"
    return f"{who} refuses {told} ({code})"


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:MESSAGE_CHARACTERS]
