"""The one step that every panel shows, and what lies at it."""
