"""Traces of what a program ran: one columnar form, whoever recorded it, and what is computed from it.

Knows numpy alone: the training process reads its profiler windows here, the command line reads files of others.
"""
