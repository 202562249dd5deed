"""A vision model of transformers with normalisation before it and pooling after it: pixels in, vectors out."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from modeling.errors import BackboneError
from modeling.pooling import cosines, orthonormal_cosines
from modeling.preprocess import Preprocessing


class Network(nn.Module):
    """What runs on the device, as one module, so that it can be compiled as one."""

    factor: Tensor
    offset: Tensor
    over_patches: Tensor
    over_width: Tensor
    over_tokens_published: Tensor
    over_width_published: Tensor

    def __init__(self, model: nn.Module, steps: Preprocessing, dtype: str, name: str) -> None:
        """Wrap a loaded model.

        Args:
            model: Takes ``pixel_values`` (N, 3, height, width).
            steps: What its image processor does to pixels.
            dtype: float32 or bfloat16.
            name: For messages.

        Raises:
            BackboneError: If it takes no images of that size, or has neither a CLS token nor a pooled output.
        """
        super().__init__()
        # Of a model of images and words the images' half.
        self.model = getattr(model, "vision_model", model)
        self._half = dtype == "bfloat16"
        if self._half:
            for layer in self.model.modules():
                # Autocast would convert the same weights at each pass; norms and sums stay in float32, as it has them.
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    layer.to(torch.bfloat16)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (steps.mean, steps.std))
        # (x * scale - mean) / std as one multiplication and one addition.
        self.register_buffer("factor", steps.scale / std)
        self.register_buffer("offset", -mean / std)
        self.requires_grad_(requires_grad=False)
        self.eval()
        patches, self.prefix, self.dimension = self._probe(steps.size, name)
        self.token_counts = (patches, patches + 1)  # of the two DCTs
        self.register_buffer("over_patches", torch.from_numpy(orthonormal_cosines(patches)))
        self.register_buffer("over_width", torch.from_numpy(orthonormal_cosines(self.dimension)))
        self.register_buffer("over_tokens_published", torch.from_numpy(cosines(patches + 1)))
        self.register_buffer("over_width_published", torch.from_numpy(cosines(self.dimension)))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the poolings of a batch, in the order of ``modeling.pooling.POOLINGS``.

        Args:
            pixels: (N, height, width, 3) uint8.

        Returns:
            (N, D), (N, D), (N, at most 64) and (N, at most 64) float32.
        """
        values = pixels.permute(0, 3, 1, 2).float() * self.factor + self.offset
        summary, patches = self._tokens(values)
        tokens = torch.cat([summary[:, None], patches], dim=1)
        return (
            summary,
            patches.mean(dim=1),
            (self.over_patches @ patches @ self.over_width.T).flatten(1),
            (self.over_tokens_published @ tokens @ self.over_width_published.T).flatten(1),
        )

    def _tokens(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the summary (N, D) and the patch tokens (N, P, D), float32."""
        output = self._run(values)
        tokens: Tensor = output.last_hidden_state
        if tokens.ndim == 4:  # a map of features (N, D, rows, columns)
            tokens = tokens.flatten(2).transpose(1, 2)
        summary = tokens[:, 0] if self.prefix else output.pooler_output.flatten(1)
        return summary.float(), tokens[:, self.prefix :].float()

    def _run(self, values: Tensor) -> Any:
        with torch.autocast(values.device.type, dtype=torch.bfloat16) if self._half else nullcontext():
            return self.model(pixel_values=values)

    def _probe(self, size: tuple[int, int], name: str) -> tuple[int, int, int]:
        """Look at one output and return the number of patches, of tokens before them, and the width of a token."""
        height, width = size
        try:
            with torch.inference_mode():
                output = self._run(torch.zeros(1, 3, height, width, device=next(self.model.parameters()).device))
        except (ValueError, TypeError) as error:
            # What takes images of one size only, or no images, says so when it is used.
            raise BackboneError(f"{name} takes no {height}x{width} px image: {error}") from error
        tokens = getattr(output, "last_hidden_state", None)
        pooled = getattr(output, "pooler_output", None)
        patch = getattr(getattr(self.model, "config", None), "patch_size", None)
        if tokens is not None and tokens.ndim == 4 and pooled is not None:
            return tokens.shape[2] * tokens.shape[3], 0, int(tokens.shape[1])
        if tokens is not None and tokens.ndim == 3 and isinstance(patch, int):
            patches = (height // patch) * (width // patch)
            # What stands before the patches: CLS, then perhaps registers or a token of distillation.
            if tokens.shape[1] > patches:
                return patches, int(tokens.shape[1]) - patches, int(tokens.shape[2])
            if pooled is not None:
                return int(tokens.shape[1]), 0, int(tokens.shape[2])
        found = "nothing" if tokens is None else f"outputs of shape {tuple(tokens.shape)}"
        raise BackboneError(
            f"{name} gives {found} for one {height}x{width} px image; patch tokens with a CLS token before them, or "
            f"with a pooled output beside them, are needed"
        )
