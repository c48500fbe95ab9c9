"""The published redshift network, top to bottom: images and magnitudes in, redshifts out.

AstroMAE's Vision Transformer with a parallel convolution module in each block (ViTAE), an Inception branch on the same
image, and a branch of linear layers on the magnitudes, if any. Their features are concatenated, and a small head makes
one redshift of them. Attribute names are the tensor names of the published state dict, so its weights load as they are.

Shapes in comments: N galaxies, B bands, S image side, T tokens (patches and the class token), D embed_dim, H heads.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lambda_image.data.sizes import Sizes


@dataclass(frozen=True)
class ModelConfig:
    """Every size of the network; the defaults are the published ones (15,902,889 parameters)."""

    bands: int = 5
    image_size: int = 32
    patch_size: int = 8
    embed_dim: int = 192
    depth: int = 12
    heads: int = 8
    mlp_features: int = 768
    pcm_features: int = 768
    pcm_kernel: int = 1
    pcm_groups: int = 48
    block_norm_eps: float = 1e-5
    final_norm_eps: float = 1e-6
    batch_norm_eps: float = 1e-5
    stem_features: int = 32
    inception_features: tuple[int, ...] = (16, 16, 8, 8, 4)  # of each branch, block by block
    image_features: int = 1096  # of the transformer branch and of the Inception branch
    magnitude_features: int = 1024  # 0: it takes no magnitudes
    head_features: int = 1024

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.bands, self.image_size, self.bands if self.magnitude_features else 0)


class RedshiftModel(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, patches = config.embed_dim, (config.image_size // config.patch_size) ** 2
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, patches + 1, width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.fc_norm = nn.LayerNorm(width, eps=config.final_norm_eps)
        self.head = nn.Linear(width, width)
        self.vit_block = mlp(width, config.image_features, config.image_features)
        self.inception_model = InceptionAndMagnitudes(config)
        joined = 2 * config.image_features + config.magnitude_features
        self.concat_block = mlp(joined, config.head_features, 1)

    def forward(self, images: Tensor, magnitudes: Tensor) -> Tensor:
        """Redshifts [N, 1] of galaxies with `images` [N, B, S, S] and `magnitudes` [N, B], of the weights' dtype.

        Where the network takes no magnitudes, they are [N, 0].
        """
        return self.concat_block(torch.cat((self.vit(images), self.inception_model(images, magnitudes)), dim=1))

    def vit(self, images: Tensor) -> Tensor:
        """The transformer branch's features [N, image_features]."""
        x = self.patch_embed(images)  # [N, T-1, D]
        x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1) + self.pos_embed  # [N, T, D]
        for block in self.blocks:
            x = block(x)
        x = self.fc_norm(x[:, 1:].mean(dim=1))  # [N, D]: the patches' average, without the class token
        return self.vit_block(self.head(x))


class PatchEmbed(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(config.bands, config.embed_dim, config.patch_size, stride=config.patch_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)  # [N, D, S/P, S/P] -> [N, T-1, D]


class Block(nn.Module):
    """A transformer block with the parallel convolution module (PCM) beside its attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.side = config.image_size // config.patch_size
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=config.block_norm_eps)
        self.attn = Attention(config)
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=config.block_norm_eps)
        self.mlp = FeedForward(config)
        width, hidden, kernel = config.embed_dim, config.pcm_features, config.pcm_kernel
        self.PCM = nn.Sequential(
            nn.Conv2d(width, hidden, kernel, padding=kernel // 2, groups=config.pcm_groups),
            nn.BatchNorm2d(hidden, eps=config.batch_norm_eps),
            nn.SiLU(),
            nn.Conv2d(hidden, width, kernel, padding=kernel // 2, groups=config.pcm_groups),
        )

    def forward(self, x: Tensor) -> Tensor:
        patches = torch.unflatten(x[:, 1:].transpose(1, 2), 2, (self.side, self.side))  # [N, D, S/P, S/P]
        local = self.PCM(patches).flatten(2).transpose(1, 2)  # [N, T-1, D]
        x = x + self.attn(self.norm1(x)) + F.pad(local, (0, 0, 1, 0))  # the class token has no convolution
        return x + self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Multi-head self-attention whose keys have no bias (it would cancel in the softmax)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.embed_dim
        self.heads = config.heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        qkv = torch.unflatten(F.linear(x, self.qkv.weight, bias), 2, (3, self.heads, -1))  # [N, T, 3, H, D/H]
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [N, H, T, D/H]
        # Plain products: on 17 tokens a fused kernel's set-up costs three times the arithmetic.
        weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)  # [N, H, T, T]
        return self.proj((weights @ v).transpose(1, 2).flatten(2))  # [N, T, D]


class FeedForward(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.embed_dim, config.mlp_features)
        self.fc2 = nn.Linear(config.mlp_features, config.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class InceptionAndMagnitudes(nn.Module):
    """The branches beside the transformer; both follow Henghes et al. 2022 (MNRAS 512, 1696)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        stem, channels = config.stem_features, config.inception_features
        layers: list[nn.Module] = [nn.Conv2d(config.bands, stem, 1), nn.AvgPool2d(2)]
        features, side = stem, config.image_size // 2
        for index, out in enumerate(channels):
            last = index == len(channels) - 1
            block = InceptionBlock(features, out, config.batch_norm_eps, with_5x5=not last)
            layers.append(block)
            features = block.out_features
            if index % 2 == 1 and not last:
                layers.append(nn.AvgPool2d(2))
                side //= 2
        layers += [nn.Flatten(), *mlp(features * side**2, config.image_features, config.image_features)]
        self.vis_inception = nn.Sequential(*layers)
        widths = [config.bands, *[config.magnitude_features] * 5] if config.magnitude_features else []
        self.magnitude_block = mlp(*widths)  # without layers it gives back the magnitudes, of which there are none

    def forward(self, images: Tensor, magnitudes: Tensor) -> Tensor:
        return torch.cat((self.vis_inception(images), self.magnitude_block(magnitudes)), dim=1)


class InceptionBlock(nn.Module):
    """Parallel 1x1, 3x3, 5x5 and pooled convolutions of `features` channels each, concatenated.

    The last block has 5x5 weights in the published state dict but leaves them out of its answer (`with_5x5=False`).
    """

    def __init__(self, in_features: int, features: int, eps: float, with_5x5: bool) -> None:
        super().__init__()
        self.with_5x5 = with_5x5
        self.out_features = features * (4 if with_5x5 else 3)
        self.branch1 = ConvBlock(in_features, features, 1, eps)
        self.branch2 = nn.Sequential(ConvBlock(in_features, features, 1, eps), ConvBlock(features, features, 3, eps))
        self.branch3 = nn.Sequential(ConvBlock(in_features, features, 1, eps), ConvBlock(features, features, 5, eps))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvBlock(in_features, features, 1, eps))

    def forward(self, x: Tensor) -> Tensor:
        fives = [self.branch3(x)] if self.with_5x5 else []
        return torch.cat((self.branch1(x), self.branch2(x), *fives, self.branch4(x)), dim=1)


class ConvBlock(nn.Module):
    def __init__(self, in_features: int, out_features: int, kernel: int, eps: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_features, out_features, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm2d(out_features, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them."""
    layers: list[nn.Module] = []
    for wide_in, wide_out in pairwise(widths):
        layers += [nn.Linear(wide_in, wide_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
