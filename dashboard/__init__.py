"""The page: the only room that knows Streamlit. It never imports torch: training and explaining are jobs."""

from torchglass.dashboard.serving.server import serve

__all__ = ["serve"]
