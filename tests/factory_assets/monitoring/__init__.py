"""Tests of `factory_assets.monitoring`."""
