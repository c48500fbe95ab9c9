import os
import resource
import subprocess
import sys

from scripts.bench.scale.descriptors import LAMBDAS, DescriptorCount


def test_the_most_that_were_open_are_counted():
    with DescriptorCount(look_s=60.0) as count:
        before = count.most
        opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(7)]
        count.look()
        for one in opened:
            os.close(one)
    assert count.most >= before + 7
    assert count.cpu_s == 0.0  # of the thread, which has not looked yet


def test_what_counting_takes_is_known():
    with DescriptorCount(look_s=0.0) as count:
        while not count.cpu_s:
            os.sched_yield()
    assert 0 < count.cpu_s < 60


def test_a_process_gets_no_more_than_a_lambda():
    program = (
        "import resource; from scripts.bench.scale.descriptors import limit_descriptors; limit_descriptors(); "
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == min(LAMBDAS, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
