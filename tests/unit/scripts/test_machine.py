import json

from scripts.machine import cpu_model, describe_machine


def test_the_first_model_name_counts():
    assert cpu_model("processor\t: 0\nmodel name\t: A: fast one\n\nmodel name\t: another\n") == "A: fast one"


def test_a_machine_that_names_no_model():
    assert cpu_model("processor\t: 0\nCPU part\t: 0xd0c\n") == ""


def test_a_description_can_be_written_and_knows_what_is_not_installed():
    machine = describe_machine(("rich", "no-such-package"))
    assert machine["cores"] >= 1
    assert machine["cpu"]
    assert len(machine["load_average"]) == 3
    assert machine["versions"]["rich"]
    assert machine["versions"]["no-such-package"] is None
    assert json.loads(json.dumps(machine)) == machine
