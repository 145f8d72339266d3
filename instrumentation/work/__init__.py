"""The work of each step: floating-point operations counted once per shape, samples a second, MFU."""
