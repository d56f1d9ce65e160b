"""The declared sources: find them, identify their content, read them."""
