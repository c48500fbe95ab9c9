"""Objects on S3: the only place in the image that knows boto3.

    bucket.py  one request, its client and its errors     reader.py  an object that is read as a file
    store.py   ObjectStore                                upload.py  an object that is written as a file
    block_reader.py  an object that is read here and there

A store is one bucket. Only its owner knows what a missing object means, and gives the store the class of the error
for one: PartitionMissing for data, InvalidEvent for what an execution was told to find. botocore retries errors that
may pass (throttling, lost connections). Those that do not pass become StorageUnavailable.

Every method that asks S3 raises InvalidEvent where the bucket is missing, access is denied or a name is none, and
StorageUnavailable where S3 does not answer, or only that it is too busy.
"""

from lambda_image.storage.block_reader import BlockReader
from lambda_image.storage.bucket import Requests, s3_client
from lambda_image.storage.reader import ObjectReader
from lambda_image.storage.store import ObjectInfo, ObjectStore, Version
from lambda_image.storage.upload import ObjectUpload

__all__ = [
    "BlockReader",
    "ObjectInfo",
    "ObjectReader",
    "ObjectStore",
    "ObjectUpload",
    "Requests",
    "Version",
    "s3_client",
]
