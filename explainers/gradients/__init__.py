"""What is read off a network by gradient: layers, maps and where they lie, paths, attention."""
