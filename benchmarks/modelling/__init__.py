"""Models compared on the same rows: public tables, contestants, and how their figures are ranked."""
