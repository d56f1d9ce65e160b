"""Models that score on other machines, without the factory, and what they bring home."""
