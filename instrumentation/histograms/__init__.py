"""Counts of a tensor's values in fixed bins: by numpy, by compiled code, and on a GPU."""
