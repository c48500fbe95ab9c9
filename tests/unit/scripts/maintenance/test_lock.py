import tomllib

from scripts.maintenance.lock import ALONE, HEADER, ROOT, requirements


def test_each_image_gets_what_it_imports_and_pytorch_none():
    wanted = requirements(tomllib.loads((ROOT / "pyproject.toml").read_text()))
    assert wanted.keys() == {"lambda", "onnx", "rendezvous", "local"}
    names = {
        image: {need.partition(">")[0].partition("=")[0].partition("[")[0] for need in needs}
        for image, needs in wanted.items()
    }
    assert {"numpy", "boto3", "awslambdaric"} <= names["lambda"]
    assert {"moto", "aiohttp", "boto3", "rich"} <= names["local"]
    assert "awslambdaric" not in names["local"]
    assert names["onnx"] == {"onnxruntime"}
    assert not any("onnxruntime" in found for image, found in names.items() if image != "onnx")
    assert not any("torch" in found or "cosmicai" in found for found in names.values())


def test_the_locks_are_of_these_requirements_and_have_hashes():
    for image, needs in requirements(tomllib.loads((ROOT / "pyproject.toml").read_text())).items():
        text = (ROOT / "requirements" / f"{image}.txt").read_text()
        assert text.startswith(HEADER)
        packages = text.count("==")
        assert packages >= len(needs)
        assert packages == 1 or image not in ALONE
        assert text.count(" \\\n    --hash=sha256:") >= packages
        assert "://" not in text  # no index: the user's own
