"""`torchglass.SummaryWriter`: the class of `torch.utils.tensorboard`, recording into the store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from torchglass.bridges.pictures import as_array
from torchglass.bridges.writer_declined import DecliningWriter
from torchglass.bridges.writer_media import MediaWriter
from torchglass.errors import OptionError
from torchglass.instrumentation.watching import put_histogram
from torchglass.store.rebinning import rebin_limits


class SummaryWriter(MediaWriter, DecliningWriter):
    """Take the calls that scripts make to TensorBoard's writer, and record a run.

    The signatures are those of torch 2.13. Scalars, groups of scalars, histograms, images, figures, text, tensors,
    precision-recall curves, layouts and hyper-parameters are kept, all in one run; graphs, embeddings, audio, video
    and meshes are accepted with one notice each. NaN and infinities are recorded, never refused. A value without a
    `global_step` lands on step 0, as it does with torch.

    Left as a context manager by an exception, the run reads as failed with its text.
    """

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Record a number, in full precision whatever the last two arguments say.

        Raises:
            OptionError: the value is no number and no tensor of one element.
        """
        self.run.log({tag: scalar_value}, step=self._step(global_step), time=walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Record numbers under `main_tag/name`, in this run: torch makes a run of each."""
        self.run.log({main_tag: dict(tag_scalar_dict)}, step=self._step(global_step), time=walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Count values into the store's bins, which are the same for all; NaN and infinities are counted apart."""
        self.run.log_histogram(tag, values, self._step(global_step), time=walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: Any,
        max: Any,
        num: Any,
        sum: Any,
        sum_squares: Any,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Record a histogram counted elsewhere: each bucket is spread over the store's bins, the buckets are kept too.

        Raises:
            OptionError: there are not as many limits as counts.
        """
        limits = as_array(bucket_limits).astype(np.float64).ravel()
        counts = as_array(bucket_counts).astype(np.float64).ravel()
        if len(limits) != len(counts):
            raise OptionError(f"add_histogram_raw({tag!r}) got {len(limits)} limits and {len(counts)} counts")
        step = self._step(global_step)
        when = time.time() if walltime is None else walltime
        counted = rebin_limits(limits, counts, step=step, time=when, minimum=float(min), maximum=float(max))
        if counted is not None:
            put_histogram(self.run, tag, counted)
        else:
            self._notices.say(
                "raw_histograms", f"{tag!r} is kept and not drawn: its limits must ascend, its counts be 0 or more"
            )
        meta = {"min": min, "max": max, "num": num, "sum": sum, "sum_squares": sum_squares}
        arrays = {"bucket_limits": limits, "bucket_counts": counts}
        self._save("histogram_raw", tag, arrays, meta, global_step, walltime)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, Sequence[Any]] | None = None,
        run_name: str | None = None,
        global_step: Any = None,
    ) -> None:
        """Add hyper-parameters to this run's configuration and their metrics to its series; torch makes another run.

        Raises:
            OptionError: one of the first two is no mapping, or a metric no number.
        """
        for what, given in (("hparam_dict", hparam_dict), ("metric_dict", metric_dict)):
            if not isinstance(given, Mapping):
                raise OptionError(f"{what} is a {type(given).__name__}: give a mapping from names to values")
        self.run.configure(hparam_dict)
        if hparam_domain_discrete:
            self.run.state("hparam_domain_discrete", dict(hparam_domain_discrete))
        self.run.log(metric_dict, step=0 if global_step is None else int(global_step))

    def add_custom_scalars(self, layout: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
        """State which scalars belong into one chart, as the fact "custom_scalars"; a later layout adds to it."""
        for category, charts in layout.items():
            self._layout[category] = {**self._layout.get(category, {}), **charts}
        self.run.state("custom_scalars", dict(self._layout))

    def add_custom_scalars_multilinechart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """State that these scalars belong into one chart."""
        self.add_custom_scalars({category: {title: ["Multiline", list(tags)]}})

    def add_custom_scalars_marginchart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """State that of three scalars the last two are the bounds of the first.

        Raises:
            OptionError: there are not three.
        """
        if len(tags) != 3:
            raise OptionError(f"add_custom_scalars_marginchart got {len(tags)} tags: give a value and its two bounds")
        self.add_custom_scalars({category: {title: ["Margin", list(tags)]}})
