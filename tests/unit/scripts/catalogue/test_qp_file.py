import os
import resource
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from lambda_image.data.distributions import LEVELS
from lambda_image.data.predictions import Predictions
from lambda_image.errors import InvalidEvent, UsageError
from scripts.catalogue.qp_file import check_qp, write_qp
from scripts.catalogue.run_source import PredictionsFileSource, ResultFolderSource
from tests.unit.scripts.catalogue.runs import FIRST_ID, predictions, quantiles, run_folder, write_distributions


def described(folder: Path, *parts: Predictions) -> ResultFolderSource:
    """A run whose galaxies have distributions."""
    run_folder(folder, *parts)
    for rank, part in enumerate(parts):
        write_distributions(folder, rank, part)
    return ResultFolderSource(folder)


def test_the_ensemble_is_read_by_qp_as_the_run_wrote_it(tmp_path: Path):
    qp = pytest.importorskip("qp")
    parts = predictions(7), predictions(5)
    told = write_qp(described(tmp_path / "out", *parts), tmp_path / "pz.hdf5")
    assert told[0] == f"9 redshift distributions in {tmp_path / 'pz.hdf5'}"
    assert told[1].startswith("3 galaxies without a prediction have none")
    ensemble = qp.read(str(tmp_path / "pz.hdf5"))
    kept = [np.isfinite(part.redshift) for part in parts]
    expected = np.concatenate([quantiles(part)[good] for part, good in zip(parts, kept, strict=True)])
    assert ensemble.npdf == 9
    assert ensemble.ppf(np.array(LEVELS)) == pytest.approx(expected, abs=1e-5)
    redshifts = np.concatenate([part.redshift[good] for part, good in zip(parts, kept, strict=True)])
    assert ensemble.ancil["redshift"] == pytest.approx(redshifts)
    assert ensemble.ancil["zmode"] == pytest.approx(redshifts + 0.05)
    assert np.isnan(ensemble.ancil["redshift_true"]).all()
    ids = np.concatenate([FIRST_ID + np.flatnonzero(good) for good in kept])
    assert ensemble.ancil["objid"].tolist() == ids.tolist()
    assert list(tmp_path.iterdir()) != []
    assert not list(tmp_path.glob(".*partial*"))


def test_ids_that_are_text_are_kept(tmp_path: Path):
    qp = pytest.importorskip("qp")
    names = np.array([f"J{number:04d}é" for number in range(4)])
    part = predictions(4, {"name": np.char.encode(names, "utf-8"), "other": np.arange(4)})
    told = write_qp(described(tmp_path / "out", part), tmp_path / "pz.hdf5", "name")
    assert told[1] == "1 galaxy without a prediction has none, and is left out"
    found = qp.read(str(tmp_path / "pz.hdf5")).ancil["name"]
    assert list(found) == [names[0], names[1], names[3]]


def test_ids_are_exact_where_some_are_missing(tmp_path: Path):
    qp = pytest.importorskip("qp")
    some = np.ma.MaskedArray(FIRST_ID + np.arange(4), [False, True, False, False])
    parts = [predictions(4), predictions(4, {"objid": some}), predictions(4, {}), predictions(0, {})]
    write_qp(described(tmp_path / "out", *parts), tmp_path / "pz.hdf5")
    whole = [str(FIRST_ID + place) for place in (0, 1, 3)]
    found = [str(text) for text in qp.read(str(tmp_path / "pz.hdf5")).ancil["objid"]]
    assert found == [*whole, whole[0], "", whole[2], "", "", ""]


@pytest.mark.parametrize("name", ["zmode", "field/number", "."])
def test_a_column_that_the_file_cannot_hold_is_no_id(tmp_path: Path, name: str):
    pytest.importorskip("qp")
    source = described(tmp_path / "out", predictions(4, {name: np.arange(4)}))
    with pytest.raises(UsageError, match=f"--id {name}: .* by --id"):
        write_qp(source, tmp_path / "pz.hdf5", name)


def test_distributions_that_are_not_finite_are_left_out(tmp_path: Path):
    qp = pytest.importorskip("qp")
    part = predictions(5)
    found = quantiles(part)
    found[0, -1], found[1, 4] = np.inf, np.nan
    folder = run_folder(tmp_path / "out", part)
    write_distributions(folder, 0, part, found=found)
    told = write_qp(ResultFolderSource(folder), tmp_path / "pz.hdf5")
    assert told[0] == f"2 redshift distributions in {tmp_path / 'pz.hdf5'}"
    assert qp.read(str(tmp_path / "pz.hdf5")).ancil["row"].tolist() == [3, 4]


def test_a_run_may_have_more_ranks_than_a_process_has_open_files(tmp_path: Path):
    qp = pytest.importorskip("qp")
    source = described(tmp_path / "out", *[predictions(1)] * 60)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, hard))
    try:
        write_qp(source, tmp_path / "pz.hdf5")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert qp.read(str(tmp_path / "pz.hdf5")).npdf == 60


def test_numbers_and_texts_of_different_ranks_are_ids_alike(tmp_path: Path):
    qp = pytest.importorskip("qp")
    parts = predictions(2, {"objid": np.array([7, 8], np.int16)}), predictions(2, {"objid": np.array(["a", "b"])})
    write_qp(described(tmp_path / "out", *parts), tmp_path / "pz.hdf5")
    assert [str(text) for text in qp.read(str(tmp_path / "pz.hdf5")).ancil["objid"]] == ["7", "8", "a", "b"]


def test_the_first_rank_may_have_no_galaxies(tmp_path: Path):
    qp = pytest.importorskip("qp")
    parts = predictions(0, {}), predictions(2)
    write_qp(described(tmp_path / "out", *parts), tmp_path / "pz.hdf5")
    assert qp.read(str(tmp_path / "pz.hdf5")).ancil["objid"].tolist() == [FIRST_ID, FIRST_ID + 1]


def test_ranks_that_left_no_distributions_are_told(tmp_path: Path):
    pytest.importorskip("qp")
    source = described(tmp_path / "out", predictions(2), predictions(2))
    (tmp_path / "out/quantiles/1.parquet").unlink()
    told = write_qp(source, tmp_path / "pz.hdf5")
    assert told[-1] == "1 rank of 2 has left none, which are missing here"


def test_a_run_without_distributions_says_how_to_have_some(tmp_path: Path):
    pytest.importorskip("qp")
    source = ResultFolderSource(run_folder(tmp_path / "out", predictions(3)))
    with pytest.raises(InvalidEvent, match=r"holds no quantiles, .* `cosmicai calibrate` makes one"):
        write_qp(source, tmp_path / "pz.hdf5")


def test_a_file_of_predictions_says_what_is_needed(tmp_path: Path):
    pytest.importorskip("qp")
    (tmp_path / "predictions.parquet").write_bytes(predictions(3).to_parquet())
    with pytest.raises(InvalidEvent, match=r"predictions\.parquet is not the folder of a run, which --qp needs"):
        write_qp(PredictionsFileSource(tmp_path / "predictions.parquet"), tmp_path / "pz.hdf5")


def test_quantiles_of_another_version_are_refused(tmp_path: Path):
    pytest.importorskip("qp")
    source, file = described(tmp_path / "out", predictions(3)), tmp_path / "out/quantiles/0.parquet"
    parquet.write_table(parquet.read_table(file).drop(["q0.999"]), file)
    with pytest.raises(InvalidEvent, match=r"quantiles/0\.parquet of .* is not of this version: .*q0\.999"):
        write_qp(source, tmp_path / "pz.hdf5")


def test_quantiles_of_other_galaxies_are_refused_and_leave_no_file(tmp_path: Path):
    pytest.importorskip("qp")
    source = described(tmp_path / "out", predictions(6))
    other = predictions(6)
    other.row[0] = 99
    (tmp_path / "out/predictions/0.parquet").write_bytes(other.to_parquet())
    with pytest.raises(InvalidEvent, match="are not about the same galaxies"):
        write_qp(source, tmp_path / "pz.hdf5")
    for strangers in (predictions(5), predictions(6, source="data/2.pt")):
        (tmp_path / "out/predictions/0.parquet").write_bytes(strangers.to_parquet())
        with pytest.raises(InvalidEvent, match="are not about the same galaxies"):
            write_qp(source, tmp_path / "pz.hdf5")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_name_of_the_file_says_its_format():
    check_qp(Path("pz.hdf5"))
    with pytest.raises(UsageError, match=r"--qp pz.fits: its name must end in .hdf5"):
        check_qp(Path("pz.fits"))
