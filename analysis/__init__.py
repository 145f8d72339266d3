"""What stored runs say when they are read together: two runs compared, ranks that lag, work done for its time."""
