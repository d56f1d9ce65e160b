"""Sentence encoders that turn text into numbers, from files on this machine."""
