import urllib.error
import urllib.request

import pytest

from tests.faults.faulty_s3 import FaultyS3, SickS3


def test_a_fault_that_delays_hides_no_other():
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with FaultyS3("127.0.0.1:1") as s3:  # nothing listens there, and nothing is passed on
        s3.faults += [SickS3(".*", "", delay=0.001), SickS3("GET", "3", cut=10), SickS3("GET", "/3", status=403)]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            opener.open(f"{s3.url}/bucket/3", timeout=10)
    assert [fault.met for fault in s3.faults] == [1, 1, 1]
