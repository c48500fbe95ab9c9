import pytest

from scripts.id_names import is_id_name


@pytest.mark.parametrize("name", ["objID", "TARGETID", "source_id", "objectId", "COADD_OBJECT_ID", "id", "specObjID"])
def test_usual_names_of_ids(name: str):
    assert is_id_name(name)


@pytest.mark.parametrize("name", ["ra", "plate", "idea", "z"])
def test_other_names(name: str):
    assert not is_id_name(name)
