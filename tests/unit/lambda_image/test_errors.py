from lambda_image import errors
from lambda_image.errors import PeerTimeout, RunError


def test_every_class_is_drawn_in_the_tree_and_none_is_missing():
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, RunError)}
    drawn = {line.split()[1] for line in (errors.__doc__ or "").splitlines() if line.startswith(("├── ", "└── "))}
    assert drawn == classes - {"RunError"}


def test_an_error_carries_its_facts():
    error = PeerTimeout("rank 3 did not answer", rank=3, elapsed_s=1.5)
    assert str(error) == "rank 3 did not answer"
    assert error.details == {"rank": 3, "elapsed_s": 1.5}
