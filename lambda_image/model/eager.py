"""PyTorch on the model file as it reads, operator by operator, on a processor or a GPU: in float32 the reference."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lambda_image.errors import InvalidEvent
from lambda_image.model.architecture import RedshiftModel
from lambda_image.model.bfloat16 import lower
from lambda_image.model.engine_files import Device
from lambda_image.model.inputs import as_inputs


class Eager:
    def __init__(self, model: RedshiftModel, threads: int, device: Device = "cpu", bf16: bool = False) -> None:
        """Takes the model over: moves it to the device and, with `bf16`, changes it. InvalidEvent without a GPU."""
        torch.set_num_threads(threads)
        # float32 is to be float32, not TF32, which keeps 11 of its 24 bits.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        if device == "cuda":
            gpu_name()
        self.name, self.device = "bf16" if bf16 else "eager", device
        self.sizes = model.config.sizes
        self._model = (lower(model) if bf16 else model).eval().to(device)
        self.parameters_mb = sum(p.numel() * p.element_size() for p in model.parameters()) / 2**20

    def predict(self, images: ArrayLike, magnitudes: ArrayLike) -> NDArray[np.float32]:
        """Predicts redshifts, as `Engine.predict` says."""
        arrays = as_inputs(images, magnitudes, self.sizes)
        if not len(arrays[0]):  # some layers refuse a batch of none
            return np.empty(0, np.float32)
        # Read-only arrays are copied, since PyTorch warns of them. Pinned memory would cost one more copy, and nothing
        # is computed meanwhile.
        inputs = [torch.from_numpy(np.require(array, requirements="W")).to(self.device) for array in arrays]
        with torch.inference_mode():
            answers: NDArray[np.float32] = self._model(*inputs)[:, 0].cpu().numpy()
        return answers


def gpu_name() -> str:
    """Of the GPU that PyTorch uses; raises InvalidEvent where it can use none."""
    try:
        return torch.cuda.get_device_name()
    except (RuntimeError, AssertionError) as error:  # no GPU, no driver, or a build of PyTorch that knows none
        found = str(error).strip().partition("\n")[0].rstrip(".")
        raise InvalidEvent(
            f"a GPU is asked for (INFERENCE_DEVICE or --device is cuda), but PyTorch {torch.__version__} finds none it "
            f"can use: {found}. Install a CUDA build of PyTorch and NVIDIA's driver, or choose cpu"
        ) from error
