"""A bucket in memory, with as much of S3 as the handlers use, answering as boto3's client does."""

import hashlib
import io
from typing import Any

from botocore.exceptions import ClientError
from botocore.response import StreamingBody


class FakeS3:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.uploads: dict[str, dict[str, Any]] = {}  # by their ids, those that are under way

    def put_object(self, *, Key: str, Body: Any, **given: Any) -> dict[str, str]:  # noqa: N803
        if given.get("IfNoneMatch") == "*" and Key in self.objects:
            raise self._refusal("PreconditionFailed", 412)
        if "IfMatch" in given and Key not in self.objects:
            raise self._refusal("NoSuchKey", 404)
        if "IfMatch" in given and self._etag(Key) != given["IfMatch"]:
            raise self._refusal("PreconditionFailed", 412)
        content = Body if isinstance(Body, bytes) else Body.read()
        self.objects[Key], self.metadata[Key] = content, given.get("Metadata", {})
        return {"ETag": self._etag(Key)}

    def create_multipart_upload(self, *, Key: str, **given: Any) -> dict[str, str]:  # noqa: N803
        upload = str(len(self.uploads))
        self.uploads[upload] = {"key": Key, "parts": {}, **given}
        return {"UploadId": upload}

    def upload_part(self, *, UploadId: str, PartNumber: int, Body: bytes, **_: Any) -> dict[str, str]:  # noqa: N803
        self.uploads[UploadId]["parts"][PartNumber] = Body
        return {"ETag": hashlib.md5(Body).hexdigest()}

    def complete_multipart_upload(self, *, UploadId: str, **given: Any) -> dict[str, str]:  # noqa: N803
        upload = self.uploads[UploadId]
        parts = [upload["parts"][part["PartNumber"]] for part in given.pop("MultipartUpload")["Parts"]]
        answer = self.put_object(Body=b"".join(parts), Metadata=upload.get("Metadata", {}), **given)
        del self.uploads[UploadId]
        return answer

    def abort_multipart_upload(self, *, UploadId: str, **_: Any) -> dict[str, str]:  # noqa: N803
        del self.uploads[UploadId]
        return {}

    def get_object(self, *, Key: str, **given: Any) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise self._refusal("NoSuchKey", 404)
        if "IfMatch" in given and self._etag(Key) != given["IfMatch"]:
            raise self._refusal("PreconditionFailed", 412)
        start = int(given.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        body = self.objects[Key][start:]
        return {
            "Body": StreamingBody(io.BytesIO(body), len(body)),
            "ContentLength": len(body),
            "ETag": self._etag(Key),
            "Metadata": self.metadata.get(Key, {}),
        }

    def head_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise self._refusal("404", 404)
        metadata = self.metadata.get(Key, {})
        return {"ContentLength": len(self.objects[Key]), "ETag": self._etag(Key), "Metadata": metadata}

    def delete_objects(self, *, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        for item in Delete["Objects"]:
            self.objects.pop(item["Key"], None)
        return {}

    def list_objects_v2(self, *, Prefix: str, Delimiter: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        below = [key for key in keys if Delimiter and Delimiter in key.removeprefix(Prefix)]
        folders = {Prefix + key.removeprefix(Prefix).partition(Delimiter)[0] + Delimiter for key in below}
        found = [key for key in keys if key not in below]
        return {
            "Contents": [{"Key": key, "Size": len(self.objects[key]), "ETag": self._etag(key)} for key in found],
            "CommonPrefixes": [{"Prefix": folder} for folder in sorted(folders)],
        }

    def _etag(self, key: str) -> str:
        return hashlib.md5(self.objects.get(key, b"")).hexdigest()

    @staticmethod
    def _refusal(code: str, status: int) -> ClientError:
        return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "operation")  # type: ignore[typeddict-item]
