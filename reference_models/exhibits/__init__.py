"""One file per reference model: it defines `EXHIBIT` and imports torch inside its builder, never at its head."""
