"""Profiler windows: when they open, what names things inside them, and how one is read once it is over."""
