"""Folds a checkpoint's tensors into the fewest products that give the same redshifts, for the native engine.

All exact algebra, done in float64 and rounded once: batch norms into their convolutions, layer norms' weights into the
layer behind, 1x1 convolutions that read the same maps into one, q's scale (and the base of its exponential) into q, and
linear layers with no activation between them into one: `head` with `vit_block[0]`, and the last layers of the three
branches with `concat_block[0]`. The order of the arrays is that of native/network.h.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from lambda_image.model.architecture import ModelConfig
from lambda_image.model.engine_files import Precision

Array = NDArray[np.float64]
Linear = tuple[Array, Array]  # weight [out, in] and bias [out]

PANEL = 48  # columns of a panel of packed weights, see native/product.h
LEVELS, TINY = 127, 1e-30  # of 8-bit weights; a row of zeros has a scale, too
FOUR = 4  # steps of the depth that one instruction multiplies and sums
ALIGNMENT = 16  # floats: every array begins on a cache line


def pack(
    tensors: Mapping[str, np.ndarray], config: ModelConfig, precision: Precision = "float32"
) -> NDArray[np.float32]:
    """All arrays that the native engine reads, one behind the other; `config` is the published one.

    `int8`: the transformer's linear layers (four fifths of all products) as bytes, with a scale for each column. The
    magnitudes' layers stay float32: most of what the redshift depends on passes them.
    """
    arrays = []
    for array in _Folder(tensors, config, precision).arrays():
        flat = (array.astype(np.float32) if array.dtype == np.float64 else array).ravel().view(np.float32)
        arrays.append(np.pad(flat, (0, -len(flat) % ALIGNMENT)))
    return np.concatenate(arrays)


def chain(first: Linear, second: Linear) -> Linear:
    """The one layer that does what `second` does to the answer of `first`."""
    return second[0] @ first[0], second[0] @ first[1] + second[1]


def quantise(layer: Linear) -> tuple[NDArray[np.int8], Array, NDArray[np.int32]]:
    """Weights [out, in] as whole numbers up to 127, what each row of them is to be multiplied by, each row's sum."""
    weight, _ = layer
    scale = np.maximum(np.abs(weight).max(axis=1), TINY) / LEVELS
    whole = np.rint(weight / scale[:, None]).astype(np.int8)
    return whole, scale, whole.sum(axis=1, dtype=np.int32)


def panels(weight: Array, width: int = PANEL) -> Array:
    """[out, in] to [out / width, in, width], `out` padded with zeros."""
    padded = np.pad(weight, ((0, -len(weight) % width), (0, 0)))
    return padded.reshape(-1, width, weight.shape[1]).transpose(0, 2, 1)


class _Folder:
    def __init__(self, tensors: Mapping[str, np.ndarray], config: ModelConfig, precision: Precision) -> None:
        self._tensors, self._config, self._precision = tensors, config, precision
        # The engine keeps a patch's features by their place within a group of the convolution module, so that the
        # groups lie side by side in a vector; and attention's by their place within a head, for the same reason.
        self._features = np.arange(config.embed_dim).reshape(config.pcm_groups, -1).T.ravel()
        self._heads = np.arange(config.embed_dim).reshape(config.heads, -1).T.ravel()

    def arrays(self) -> Iterator[np.ndarray]:
        c, order = self._config, self._features
        weight, bias = self._linear("patch_embed.proj")
        position = self["pos_embed"][0].copy()
        position[0] += self["cls_token"][0, 0]
        yield position[:, order]
        yield from self._packed((weight[order], bias[order]))
        for index in range(c.depth):
            yield from self._block(f"blocks.{index}")
        yield from self._packed(self._linear("inception_model.vis_inception.0"), c.stem_features)
        for index in self._inception_blocks():
            yield from self._inception(f"inception_model.vis_inception.{index}")
        yield from self._branches()

    def __getitem__(self, name: str) -> Array:
        return np.asarray(self._tensors[name], np.float64)

    def _linear(self, name: str) -> Linear:
        weight = self[f"{name}.weight"]
        return weight.reshape(len(weight), -1), self[f"{name}.bias"]

    def _packed(self, layer: Linear, width: int = PANEL) -> Iterator[np.ndarray]:
        weight, bias = layer
        yield panels(weight, width)
        yield np.pad(bias, (0, -len(bias) % width))

    def _dense(self, layer: Linear) -> Iterator[np.ndarray]:
        """A layer of the transformer: [out / PANEL, in / FOUR, PANEL, FOUR] where it is quantised."""
        if self._precision == "float32":
            yield from self._packed(layer)
            return
        whole, scale, sums = quantise(layer)
        yield np.ascontiguousarray(whole.reshape(-1, PANEL, whole.shape[1] // FOUR, FOUR).transpose(0, 2, 1, 3))
        yield from (layer[1], scale, sums)

    def _behind_norm(self, norm: str, layer: Linear) -> Linear:
        """`layer` behind a layer norm that only normalises."""
        weight, bias = layer
        return weight * self[f"{norm}.weight"], bias + weight @ self[f"{norm}.bias"]

    def _normed(self, convolution: str, norm: str) -> Linear:
        """A convolution [out, in, height, width] with the batch norm behind it."""
        scale = self[f"{norm}.weight"] / np.sqrt(self[f"{norm}.running_var"] + self._config.batch_norm_eps)
        weight = self[f"{convolution}.weight"] * scale[:, None, None, None]
        return weight, (self[f"{convolution}.bias"] - self[f"{norm}.running_mean"]) * scale + self[f"{norm}.bias"]

    def _block(self, name: str) -> Iterator[np.ndarray]:
        c, order, heads = self._config, self._features, self._heads
        groups, width = c.pcm_groups, c.embed_dim
        up, up_bias = self._normed(f"{name}.PCM.0", f"{name}.PCM.1")
        yield up.reshape(groups, -1, width // groups).transpose(1, 2, 0)  # [hidden, in, group]
        yield up_bias.reshape(groups, -1).T
        down, down_bias = self._linear(f"{name}.PCM.3")
        yield down.reshape(groups, width // groups, -1).transpose(2, 1, 0)  # [hidden, out, group]
        yield down_bias.reshape(groups, -1).T

        bias = np.concatenate((self[f"{name}.attn.q_bias"], np.zeros(width), self[f"{name}.attn.v_bias"]))
        weight, bias = self._behind_norm(f"{name}.norm1", (self[f"{name}.attn.qkv.weight"], bias))
        weight, bias = weight.reshape(3, width, width)[:, heads][:, :, order], bias.reshape(3, width)[:, heads]
        scale = np.array([math.log2(math.e) * (width // c.heads) ** -0.5, 1, 1])
        yield from self._dense(((weight * scale[:, None, None]).reshape(-1, width), (bias * scale[:, None]).ravel()))
        weight, bias = self._linear(f"{name}.attn.proj")
        yield from self._dense((weight[order][:, heads], bias[order]))

        weight, bias = self._behind_norm(f"{name}.norm2", self._linear(f"{name}.mlp.fc1"))
        yield from self._dense((weight[:, order], bias))
        weight, bias = self._linear(f"{name}.mlp.fc2")
        yield from self._dense((weight[order], bias[order]))

    def _inception_blocks(self) -> list[int]:
        names = {name.split(".")[2] for name in self._tensors if ".branch1." in name}
        return sorted(int(name) for name in names)

    def _inception(self, name: str) -> Iterator[np.ndarray]:
        with_5x5 = not name.endswith(f".{self._inception_blocks()[-1]}")
        narrow = [f"{name}.branch1", f"{name}.branch2.0", *([f"{name}.branch3.0"] if with_5x5 else [])]
        wide = [f"{name}.branch2.1", *([f"{name}.branch3.1"] if with_5x5 else [])]
        merged = [self._normed(f"{branch}.conv", f"{branch}.bn") for branch in narrow]
        weight, bias = np.concatenate([w for w, _ in merged])[:, :, 0, 0], np.concatenate([b for _, b in merged])
        yield from self._packed((weight, bias), len(bias))
        for branch in (*wide, f"{name}.branch4.1"):
            weight, bias = self._normed(f"{branch}.conv", f"{branch}.bn")
            taps_last = weight.transpose(0, 2, 3, 1).reshape(len(bias), -1)  # [out, (y, x, in)]
            yield from self._packed((taps_last, bias), len(bias))

    def _branches(self) -> Iterator[np.ndarray]:
        c = self._config
        joined, joined_bias = self._linear("concat_block.0")
        transformer, maps, magnitudes = np.split(joined, (c.image_features, 2 * c.image_features), axis=1)
        nothing = np.zeros(len(joined_bias))

        first = self._behind_norm("fc_norm", self._linear("head"))
        weight, bias = chain(first, self._linear("vit_block.0"))
        yield from self._packed((weight[:, self._features], bias))
        yield from self._wide(chain(self._linear("vit_block.2"), (transformer, nothing)))

        flat = f"inception_model.vis_inception.{self._inception_blocks()[-1] + 2}"
        weight, bias = self._linear(flat)
        pixels = (c.image_size // 8) ** 2
        channels_last = weight.reshape(len(weight), -1, pixels).transpose(0, 2, 1).reshape(len(weight), -1)
        yield from self._packed((channels_last, bias))
        yield from self._wide(
            chain(self._linear(f"{flat[: flat.rindex('.')]}.{int(flat.split('.')[-1]) + 2}"), (maps, nothing))
        )

        block = "inception_model.magnitude_block"
        yield from self._packed(self._linear(f"{block}.0"))
        for index in (2, 4, 6):
            yield from self._wide(self._linear(f"{block}.{index}"))
        yield from self._wide(chain(self._linear(f"{block}.8"), (magnitudes, joined_bias)))
        yield np.pad(self["concat_block.2.weight"][0], (0, -c.head_features % PANEL))
        yield self["concat_block.2.bias"]

    def _wide(self, layer: Linear) -> Iterator[np.ndarray]:
        """A layer that reads what a padded layer answered: its depth is padded, too."""
        weight, bias = layer
        return self._packed((np.pad(weight, ((0, 0), (0, -weight.shape[1] % PANEL))), bias))
