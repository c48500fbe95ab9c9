import re
from pathlib import Path

import pytest

from lambda_image.address import Address
from lambda_image.errors import InvalidEvent
from lambda_image.model import SHIPPED_MODEL
from lambda_image.settings import HandlerSettings
from rendezvous_server.settings import read_settings


def test_an_empty_environment():
    settings = HandlerSettings.from_environ({})
    assert settings.rendezvous_endpoint is None
    assert settings.rendezvous_key is None
    assert settings.model_path == SHIPPED_MODEL
    assert settings.threads >= 1
    assert settings.max_segment is None
    assert settings.max_concurrency is None


def test_what_is_set_counts():
    environ = {
        "RENDEZVOUS_ENDPOINT": "h:10000",
        "RENDEZVOUS_KEY": "secret",
        "MODEL_PATH": "/m.safetensors",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "OMP_NUM_THREADS": "3",
        "TCP_MAX_SEGMENT": "1200",
        "MAX_CONCURRENCY": "500",
    }
    settings = HandlerSettings.from_environ(environ)
    assert settings.rendezvous_endpoint == Address("h", 10000)
    assert settings.rendezvous_key == b"secret"
    assert (settings.model_path, settings.memory_mb, settings.threads) == (Path("/m.safetensors"), 1769, 3)
    assert settings.max_segment == 1200
    assert settings.max_concurrency == 500
    assert "secret" not in repr(settings)


def test_an_image_may_have_a_model_of_its_own_that_the_user_replaces():
    image = {"IMAGE_MODEL": "/var/task/network.onnx"}
    assert HandlerSettings.from_environ({**image, "MODEL_PATH": ""}).model_path == Path("/var/task/network.onnx")
    assert HandlerSettings.from_environ({**image, "MODEL_PATH": "/mnt/model"}).model_path == Path("/mnt/model")


def test_the_engine_is_chosen_by_name():
    assert HandlerSettings.from_environ({}).engine == "auto"
    assert HandlerSettings.from_environ({"INFERENCE_ENGINE": "fast"}).engine == "fast"
    assert HandlerSettings.from_environ({}).device == "cpu"
    on_a_gpu = HandlerSettings.from_environ({"INFERENCE_ENGINE": "bf16", "INFERENCE_DEVICE": "cuda"})
    assert (on_a_gpu.engine, on_a_gpu.device) == ("bf16", "cuda")


def test_threads_follow_the_memory():
    assert HandlerSettings.from_environ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}).threads == 1


@pytest.mark.parametrize("text", ["secret", "secret\n", "\r\n secret\t", "two words\n", "Schlüssel"])
def test_a_rank_and_the_server_read_the_same_key(tmp_path, text):
    """Otherwise every join is refused."""
    (tmp_path / "key").write_text(text, encoding="utf-8", newline="")
    for environ in ({"RENDEZVOUS_KEY": text}, {"RENDEZVOUS_KEY_FILE": str(tmp_path / "key")}):
        assert HandlerSettings.from_environ(environ).rendezvous_key == text.strip().encode()
        assert read_settings([], environ).key == text.strip().encode()


def test_white_space_is_no_key():
    environ = {"RENDEZVOUS_KEY": " \n", "RENDEZVOUS_KEY_FILE": ""}
    assert HandlerSettings.from_environ(environ).rendezvous_key is None
    assert read_settings([], environ).key is None


@pytest.mark.parametrize(
    ("content", "other", "words"),
    [
        (b" \n", "", "is empty"),
        (b"\xff\xfe", "", "cannot be read as text"),
        (None, "", "cannot be read as text"),
        (b"secret", "another secret", "both RENDEZVOUS_KEY and .* which one is meant"),
    ],
)
def test_a_rank_and_the_server_refuse_the_same_keys(tmp_path, capsys, content, other, words):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    environ = {"RENDEZVOUS_KEY_FILE": str(tmp_path / "key"), "RENDEZVOUS_KEY": other}
    with pytest.raises(InvalidEvent, match=words) as refused:
        HandlerSettings.from_environ(environ)
    assert "secret" not in str(refused.value)
    with pytest.raises(SystemExit):
        read_settings([], environ)
    assert re.search(words, " ".join(capsys.readouterr().err.split()))


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"RENDEZVOUS_ENDPOINT": "nonsense"}, "RENDEZVOUS_ENDPOINT"),
        ({"RENDEZVOUS_KEY_FILE": "/does/not/exist"}, "RENDEZVOUS_KEY_FILE"),
        ({"INFERENCE_ENGINE": "slow"}, "allowed on cpu .*: auto, fast, int8, eager, bf16"),
        ({"INFERENCE_DEVICE": "tpu"}, "INFERENCE_DEVICE is 'tpu'; allowed: cpu, cuda"),
        ({"INFERENCE_ENGINE": "int8", "INFERENCE_DEVICE": "cuda"}, "'int8'; allowed on cuda .*: auto, eager, bf16"),
        ({"OMP_NUM_THREADS": "many"}, "OMP_NUM_THREADS"),
        ({"TCP_MAX_SEGMENT": "40"}, "TCP_MAX_SEGMENT is 40; allowed: 88 to 32767"),
        ({"TCP_MAX_SEGMENT": "large"}, "TCP_MAX_SEGMENT"),
        ({"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "0"}, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
    ],
)
def test_a_wrong_variable_is_named(environ, word):
    with pytest.raises(InvalidEvent, match=word):
        HandlerSettings.from_environ(environ)
