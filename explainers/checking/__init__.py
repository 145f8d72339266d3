"""What the caller gave, checked: inputs, targets and options."""
