"""The result objects of a run where the run has put them, and their way to a folder."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from botocore.exceptions import ClientError

from lambda_image.results import RESULT_NAME

AT_A_TIME = 8  # objects that are on their way
PIECE = 1 << 20  # bytes of an object that are in memory
NOT_COPIED = ("attempts/", "shares/")  # what ranks have kept for their next attempts, and the key of the run


@dataclass(frozen=True)
class StoredResults:
    """The results under a prefix of a bucket. What else lies there is left alone, such as results of other runs."""

    s3: Any
    bucket: str
    result_path: str

    @property
    def place(self) -> str:
        """Names the place, for messages."""
        return f"s3://{self.bucket}/{self.result_path}/"

    def names(self) -> Iterator[str]:
        """Lists the results that are copied, by their names under the result path."""
        prefix = f"{self.result_path}/"
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                name = found["Key"].removeprefix(prefix)
                if RESULT_NAME.fullmatch(name) and not name.startswith(NOT_COPIED):
                    yield name

    def open(self, name: str) -> BinaryIO | None:
        """Reads a small result, such as the summary; None where it is not there."""
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=f"{self.result_path}/{name}")
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        return io.BytesIO(answer["Body"].read())

    def holds(self, path: Path) -> bool:
        """Tells whether a file would lie among the results, which no file does."""
        return False

    def download(self, folder: Path) -> int:
        """Copies all results into a folder, several at a time, and never more than a piece of each in memory.

        Returns:
            How many there are.

        Raises:
            OSError: one cannot be written.
            botocore's errors: S3 refuses or does not answer.
        """

        def copy(name: str) -> None:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            body = self.s3.get_object(Bucket=self.bucket, Key=f"{self.result_path}/{name}")["Body"]
            with file.open("wb") as target:
                for piece in body.iter_chunks(PIECE):
                    target.write(piece)

        with ThreadPoolExecutor(AT_A_TIME) as threads:
            try:
                return sum(1 for _ in threads.map(copy, list(self.names())))
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
