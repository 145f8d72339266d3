"""What TensorBoard's writer records and the store has no place for: accepted, with one notice each."""

from __future__ import annotations

from typing import Any

from torchglass.bridges.writer_base import WriterBase


class DecliningWriter(WriterBase):
    """The methods for graphs, embeddings, videos, sounds and meshes."""

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """Accept a model's graph, with one notice: nothing is traced."""
        self._decline("graphs")

    def add_onnx_graph(self, prototxt: Any) -> None:
        """Accept a graph, with one notice."""
        self._decline("graphs")

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: Any = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Accept an embedding, with one notice."""
        self._decline("embeddings")

    def add_video(
        self, tag: str, vid_tensor: Any, global_step: Any = None, fps: float = 4, walltime: float | None = None
    ) -> None:
        """Accept a video, with one notice."""
        self._decline("videos")

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Accept a sound, with one notice."""
        self._decline("sounds")

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: Any = None,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Accept a mesh, with one notice."""
        self._decline("meshes")

    def _decline(self, what: str) -> None:
        self._notices.say(f"not_kept/{what}", f"{what} are accepted and not kept")
