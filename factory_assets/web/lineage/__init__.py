"""A trace as a page without scripts; a process without numpy may use it."""
