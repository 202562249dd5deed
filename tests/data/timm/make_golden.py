"""Golden data of the import of timm checkpoints: small models with random weights, and what timm itself makes of them.

Made once, with timm 1.0.31 and torch 2.13.0. timm brings a torchvision that does not live beside a CPU build of torch,
so it has an environment of its own:

    python3 -m venv timm-env && timm-env/bin/pip install torch==2.13.0 timm==1.0.31
    timm-env/bin/python tests/data/timm/make_golden.py

README: `pixels.npz` holds the images, uint8 (2, 98, 98, 3); models of smaller images take their upper left corners.
For each model there is a checkpoint and `NAME.npz` with timm's `tokens` (2, T, D) after the last norm, `logits` (2, C),
and for `ema` also `tokens_98`: those of the whole images, at positions that timm has interpolated.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
SMALL = {"embed_dim": 16, "depth": 3, "num_heads": 2, "mlp_ratio": 2, "num_classes": 5}


def without_torchvisions_operators() -> Any:
    """Return timm. Its torchvision declares what two operators give before it looks whether they were loaded."""
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import timm.utils

    return timm


def randomise(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Draw every weight so wide that leaving one out would show."""
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            drawn = torch.randn(weight.shape, generator=numbers)
            if name.endswith(("gamma", "norm1.weight", "norm2.weight")) or name == "norm.weight":
                weight.copy_(0.75 + 0.25 * drawn)
            elif name.endswith(".weight"):
                weight.copy_(drawn / weight[0].numel() ** 0.5)
            else:
                weight.copy_(0.5 * drawn)
    return model.eval()


def normalised(model: Any, pixels: np.ndarray) -> torch.Tensor:
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std


@torch.inference_mode()
def answers(model: Any, pixels: np.ndarray) -> dict[str, np.ndarray]:
    tokens = model.forward_features(normalised(model, pixels))
    return {"tokens": tokens.numpy(), "logits": model.forward_head(tokens).numpy()}


def main() -> None:
    timm = without_torchvisions_operators()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 98, 98, 3), dtype=np.uint8)
    np.savez_compressed(HERE / "pixels.npz", pixels=pixels)
    with_registers = "vit_base_patch14_reg4_dinov2"

    model = randomise(timm.create_model(with_registers, img_size=70, dynamic_img_size=True, **SMALL), 1)
    averaged = timm.utils.ModelEmaV3(model)
    best = randomise(averaged.module, 2)
    with tempfile.TemporaryDirectory() as folder:
        saver = timm.utils.CheckpointSaver(
            model,
            torch.optim.SGD(model.parameters(), lr=0.1),
            args=argparse.Namespace(model=with_registers, img_size=70, opt_betas=(0.9, 0.99), mean=None, seed=42),
            model_ema=averaged,
            checkpoint_dir=folder,
        )
        saver.save_checkpoint(3, metric=np.float64(61.25))
        shutil.copyfile(Path(folder) / "model_best.pth.tar", HERE / "ema.pth.tar")
    with torch.inference_mode():
        interpolated = best.forward_features(normalised(best, pixels)).numpy()
    np.savez_compressed(HERE / "ema.npz", **answers(best, pixels[:, :70, :70]), tokens_98=interpolated)

    model = randomise(timm.create_model(with_registers, img_size=98, no_embed_class=False, **SMALL), 3)
    torch.save(model.state_dict(), HERE / "positions_of_all.pth")
    np.savez_compressed(HERE / "positions_of_all.npz", **answers(model, pixels))

    model = randomise(timm.create_model("vit_base_patch14_dinov2", img_size=70, **SMALL), 4)
    torch.save(model.state_dict(), HERE / "no_registers.pth")
    np.savez_compressed(HERE / "no_registers.npz", **answers(model, pixels[:, :70, :70]))

    wide = SMALL | {"embed_dim": 128, "depth": 1, "mlp_ratio": 1, "patch_size": 7}
    model = randomise(timm.create_model(with_registers, img_size=35, **wide), 5).half()
    save_file(model.state_dict(), HERE / "wide.safetensors")
    np.savez_compressed(HERE / "wide.npz", **answers(model.float(), pixels[:, :35, :35]))


if __name__ == "__main__":
    main()
