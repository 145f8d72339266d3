"""One reference model under many techniques, side by side: what each costs, what it weighs, and whether it agrees."""
