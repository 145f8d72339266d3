"""Explain the same few inputs again and again while a model trains, and say how the maps change."""
