"""The page's server: which addresses it answers, to whom, with which options."""
