"""What is learnt: a loss and the scores of a set, one file per task."""
