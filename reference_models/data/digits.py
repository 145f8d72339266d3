"""The digits that come with scikit-learn: 1,797 real scans of 8x8 pixels (Alpaydin and Kaynak 1998), no download.

They are the test set of UCI's "Optical Recognition of Handwritten Digits": 32x32 bitmaps of 43 writers, of which each
value 0..16 counts the inked pixels of a 4x4 block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchglass.errors import MissingExtraError
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.samples import Samples, Split

if TYPE_CHECKING:
    from torch import Tensor

FULL_INK = 16.0  # inked pixels in a wholly black 4x4 block
SIDE_PIXELS = 32  # what LeNet-5 reads
DIGIT_NAMES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
DIGITS_FORM = DataForm("pictures", "classification", (1, SIDE_PIXELS, SIDE_PIXELS), DIGIT_NAMES)
TEST_SHARE = 0.2  # 360 of 1,797 pictures: one mistake is 0.28 points of accuracy


def load_digits_split(request: DataRequest) -> Split:
    """Load the digits as (N, 1, 32, 32) in 0..1, split 80 to 20 with every digit in proportion.

    The split depends on the seed alone; nothing is downloaded.

    Raises:
        MissingExtraError: when scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "models") from error
    import torch

    scans = load_digits()
    train, test = train_test_split(
        range(len(scans.target)), test_size=TEST_SHARE, stratify=scans.target, random_state=request.seed
    )
    images = enlarge(torch.tensor(scans.images, dtype=torch.float32).unsqueeze(1) / FULL_INK)
    labels = torch.tensor(scans.target, dtype=torch.int64)
    return Split(DIGITS_FORM, Samples(images[train], labels[train]), Samples(images[test], labels[test]))


def enlarge(images: Tensor) -> Tensor:
    """Resize (N, 1, H, W) to 32x32 by bilinear interpolation between pixel centres.

    It adds no detail, only pixels: a 5x5 kernel then spans about a stroke, as on the paper's pictures, and the values
    stay in 0..1 because bilinear weights are a mean.
    """
    from torch.nn import functional

    return functional.interpolate(images, size=(SIDE_PIXELS, SIDE_PIXELS), mode="bilinear", align_corners=False)
