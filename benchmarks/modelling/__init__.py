"""Models compared on the same rows: public tables, contestants, how their figures are ranked."""
