"""Pictures, texts, tensors and curves of a `SummaryWriter`: artifacts of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torchglass.bridges.curves import LARGEST_COUNT, precision_recall
from torchglass.bridges.pictures import Pixels, as_array, figure_pixels, to_pixels
from torchglass.bridges.writer_base import WriterBase

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class MediaWriter(WriterBase):
    """The methods for what is neither a number nor a histogram."""

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Keep a picture, uint8 (0 to 255) or else (0 to 1), as an artifact of kind "image".

        Raises:
            OptionError: `dataformats` does not fit the picture.
        """
        self._picture(tag, to_pixels(img_tensor, dataformats), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Keep several pictures in one artifact of kind "image"; torch pastes them into one."""
        self._picture(tag, to_pixels(img_tensor, dataformats), global_step, walltime)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Any = None,
    ) -> None:
        """Keep a picture and, beside it, its boxes (n, 4) of x1, y1, x2, y2 with their labels."""
        boxes = as_array(box_tensor)
        names = [labels] if isinstance(labels, str) else labels
        meta = {"labels": list(names) if names is not None and len(names) == len(boxes) else None}
        self._picture(tag, to_pixels(img_tensor, dataformats), global_step, walltime, {"boxes": boxes}, meta)

    def add_figure(
        self,
        tag: str,
        figure: Figure | list[Figure],
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Draw a matplotlib figure, or several of one size, and keep the picture."""
        figures = figure if isinstance(figure, list) else [figure]
        for index, each in enumerate(figures):
            name = tag if len(figures) == 1 else f"{tag}/{index}"
            self._picture(name, figure_pixels(each, close), global_step, walltime)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None) -> None:
        """Keep a text as an artifact of kind "text"."""
        self._save("text", tag, {}, {"text": str(text_string)}, global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Count true and false positives at 127 thresholds or fewer; kept as an artifact of kind "pr_curve"."""
        count = min(int(num_thresholds), LARGEST_COUNT)
        weight = 1.0 if weights is None else as_array(weights)
        curve = precision_recall(as_array(labels), as_array(predictions), count, weight)
        self._save("pr_curve", tag, curve, {"num_thresholds": count}, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Keep a precision-recall curve that was counted elsewhere."""
        curve = {
            "true_positive_counts": as_array(true_positive_counts),
            "false_positive_counts": as_array(false_positive_counts),
            "true_negative_counts": as_array(true_negative_counts),
            "false_negative_counts": as_array(false_negative_counts),
            "precision": as_array(precision),
            "recall": as_array(recall),
        }
        self._save("pr_curve", tag, curve, {"num_thresholds": int(num_thresholds)}, global_step, walltime)

    def add_tensor(self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None) -> None:
        """Keep a tensor as an artifact of kind "tensor"."""
        self._save("tensor", tag, {"tensor": as_array(tensor)}, {}, global_step, walltime)

    def _picture(
        self,
        tag: str,
        pixels: Pixels,
        global_step: Any,
        walltime: float | None,
        arrays: Mapping[str, Any] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        self._save("image", tag, {"images": pixels, **(arrays or {})}, meta or {}, global_step, walltime)
