import pickle
import re

import pytest

from lambda_image import errors
from lambda_image.errors import PeerTimeout, RunError


def test_every_class_is_drawn_in_the_tree_and_none_is_missing():
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, RunError)}
    drawn = set(re.findall(r"^[│ ]*[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == classes - {"RunError"}


def test_an_error_carries_its_facts():
    error = PeerTimeout("rank 3 did not answer", rank=1, peer=3, elapsed_s=1.5)
    assert str(error) == "rank 3 did not answer"
    assert (error.rank, error.peer, error.elapsed_s, error.phase) == (1, 3, 1.5, None)


def test_what_is_no_fact_of_an_error_is_refused():
    with pytest.raises(TypeError, match="colour"):
        PeerTimeout("rank 3 did not answer", colour="red")  # type: ignore[call-arg]


CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, RunError)]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_takes_a_message_alone_and_passes_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind("why")))
    assert type(error) is kind
    assert str(error) == error.message == "why"
