"""The networks that are more than a few lines; small ones stand in their exhibit's file."""
