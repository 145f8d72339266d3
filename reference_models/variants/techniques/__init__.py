"""One file per technique: it defines `VARIANT`, whose name is the file's."""
