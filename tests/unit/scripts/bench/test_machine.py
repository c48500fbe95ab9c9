import json

from scripts.bench.machine import OtherWork, busy_s, cpu_model, describe_machine


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


def test_cores_are_busy_with_everything_but_waiting():
    assert busy_s("cpu  100 20 30 999 888 4 5 6 7 8\ncpu0 1 1 1 1 1 1 1 1 1 1\n", 100) == 1.65


def test_other_work_is_what_is_neither_ours_nor_measured():
    cores = OtherWork(lambda: 0.0).cores()
    assert cores is not None
    assert cores >= 0


def test_other_work_is_unknown_where_the_measured_is():
    assert OtherWork(lambda: None).cores() is None
