import pytest

from lambda_image.errors import UsageError
from scripts.stack.template import (
    FILLED_IN,
    check_parameters,
    images_template,
    parameters,
    parsed,
    read_assignments,
    stack_template,
)

SPECS = parameters(stack_template())


def test_short_forms_become_the_long_ones():
    text = "a: !Ref B\nc: !GetAtt D.E.F\ng: !Join [x, [!Sub '${H}', y]]\ni: !Select [0, !GetAZs '']\nj: !Condition K\n"
    assert parsed(text) == {
        "a": {"Ref": "B"},
        "c": {"Fn::GetAtt": ["D", "E.F"]},
        "g": {"Fn::Join": ["x", [{"Fn::Sub": "${H}"}, "y"]]},
        "i": {"Fn::Select": [0, {"Fn::GetAZs": ""}]},
        "j": {"Condition": "K"},
    }


def test_a_template_executes_nothing():
    with pytest.raises(Exception, match="python"):
        parsed("a: !!python/object/apply:os.getcwd []")


def test_comments_stay_in_what_a_person_reads():
    assert "# for data and results; it outlives the stack" in stack_template()
    assert "redshift.asl.json # `cosmicai deploy` puts" not in stack_template()
    assert "# The two image repositories" in images_template()


def test_parameters_have_their_defaults_and_those_that_must_be_given_none():
    assert SPECS["RankMemory"].default == "3008"
    assert SPECS["ExistingBucket"].default == ""
    assert {name for name, spec in SPECS.items() if spec.default is None} <= set(FILLED_IN)


def test_assignments_are_read_by_their_first_sign():
    assert read_assignments(["a=1", "b=x=y", "c="], "--parameter") == {"a": "1", "b": "x=y", "c": ""}


@pytest.mark.parametrize("given", [["a"], ["=1"], ["a=1", "a=2"]])
def test_what_is_no_assignment_is_refused_with_its_flag(given: list[str]):
    with pytest.raises(UsageError, match="--tag"):
        read_assignments(given, "--tag")


def test_a_parameter_that_the_stack_lacks_is_told_with_those_that_it_has():
    with pytest.raises(UsageError, match=r"--parameter RankMemoryMb: .* there are Architecture, RankMemory, "):
        check_parameters({"RankMemoryMb": "1"}, SPECS)
    with pytest.raises(UsageError, match="give --image"):
        check_parameters({"LambdaImage": "1"}, SPECS)
