"""The data sets: bundled, generated or read from files; each module loads one as a Split."""
