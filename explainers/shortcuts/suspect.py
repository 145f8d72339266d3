"""Hold one suspected shortcut: the spot that pictures are judged by, and what happened when it was changed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchglass.explainers.changing.regions import Box

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """What changing a spot does to a class's probability, beside the same change at random spots of the same size.

    Probabilities are 0..1; effects are positive where the model does what it would if it read the spot: erased, the
    predicted class loses; pasted into another picture, the class that it came with gains.
    """

    pictures: int
    mean: float
    """over the pictures"""
    control: float
    """the same at random spots, mean over pictures and spots"""
    low: float
    high: float
    """bounds of mean - control that hold for all suspects and both changes together in 95 % of the cases"""
    p: float
    """chance of a mean as large were the spot like any other: its rank among the random spots"""
    changed: float
    """share of the pictures whose prediction changes: to any other class when erased, to the spot's when pasted"""
    control_changed: float

    @property
    def beyond_control(self) -> float:
        """What the spot does more than random ones."""
        return self.mean - self.control

    def exceeds(self, least: float, most_p: float) -> bool:
        """Tell whether the effect beyond the random spots is as large as asked, and no chance."""
        return self.beyond_control >= least and self.low > 0 and self.p <= most_p


@dataclass(frozen=True, eq=False)
class Suspect:
    """A spot that a group of pictures is judged by, as their maps say, and whether interventions confirm it."""

    box: Box
    members: IntArray
    """(M,), the pictures, by index, whose maps are hot there, twice as hot as by chance or more; the hottest first"""
    classes: tuple[int, ...]
    """those predicted for the group: of each, a quarter of the pictures or more belong to it"""
    mean_map: FloatArray
    """(H, W), mean over the group of the maps' positive part, each scaled to add up to 1"""
    example_maps: FloatArray
    """(E, H, W), the maps of the first of the members, scaled likewise"""
    relevance_share: float
    """share of the mean map that lies within the box; by chance it would be `area_share`"""
    area_share: float
    tested: IntArray
    """(T,), the pictures that the spot was tested on; none of them took part in finding it"""
    erase: Effect
    paste: Effect
    confirmed: bool
    """erasing it does more than at random spots, and pasting it more by what was asked: a small fixed spot decides"""

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W), the spot's pixels."""
        pixels = np.zeros(self.mean_map.shape, dtype=np.bool_)
        pixels[self.box.top : self.box.bottom, self.box.left : self.box.right] = True
        return pixels
