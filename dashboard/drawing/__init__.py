"""How anything is put on a page: charts that tick, figures, tables."""
