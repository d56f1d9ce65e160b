"""Erase a person: what the home has of them, every step, and the proof of it."""
