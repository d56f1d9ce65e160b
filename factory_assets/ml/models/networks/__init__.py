"""Neural networks, trained by Lightning."""
