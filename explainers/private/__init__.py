"""Ask the user's model in private: a copy of it, what it is rewritten to, and the generators that are given back."""
