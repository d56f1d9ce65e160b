"""Sentence encoders: turn text into vectors, with weights from files on this machine."""
