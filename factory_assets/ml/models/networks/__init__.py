"""Neural networks, trained with Lightning."""
