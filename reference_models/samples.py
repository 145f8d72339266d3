"""The gallery of test pictures that a run keeps, so that a page can show what the model sees without torch."""

from torch import Tensor

from torchglass.reference_models.exhibit import ReferenceModel
from torchglass.reference_models.recorder import Recorder

GALLERY_IMAGES = 200  # 200 KiB of 32x32 bytes: enough to find an example of each mistake


def save_samples(
    run: Recorder, exhibit: ReferenceModel, dataset: str, seed: int, images: Tensor, labels: Tensor
) -> None:
    """Keep the first test pictures (N, C, H, W) in 0..1 as bytes 0..255, with their labels."""
    shown = images[:GALLERY_IMAGES]
    arrays = {
        "images": shown.mul(255).round().byte().numpy(),
        "labels": labels[:GALLERY_IMAGES].numpy(),
    }
    meta = {
        "class_names": list(exhibit.class_names),
        "dataset": dataset,
        "model": exhibit.name,
        "seed": seed,
        "test_images": len(images),
    }
    run.save_arrays("samples", "test", arrays, meta)
